//! reprobe runs a build in systematically varied environments, compares the outputs element by
//! element, and names the minimal sets of variations behind every difference.
//!
//! The modules stand in the order of their layers: a module uses only modules declared above it
//! (`tests/architecture.rs` enforces this).
//!
//! ```text
//! Catalog::parse(toml files)             -> Catalog       what can vary
//! sandbox::probe()                       -> Capabilities  what this host allows, and why not
//! plan(Catalog, Capabilities, Request)   -> Plan          levels chosen, left-out ones with reasons
//! loop in session:
//!   Search::next()                       -> Step          which environments to try, or done
//!   Sandbox::run(environment, build)     -> Outcome       built (with a snapshot), failed, timed out
//!   compare(control, snapshot)           -> observation   one value per element
//!   Search::record(observation)
//! explain                                -> Findings
//! report                                 -> bytes         terminal, JSON
//! ```

// Pure: no file, process, clock or environment is touched below this line ...
pub mod model;

pub mod catalog;

pub mod plan;

pub mod search;

pub mod formats;

pub mod normalize;

pub mod diff;

pub mod explain;

pub mod inquiry;

pub mod report;

// ... and these modules have effects.
pub mod snapshot;

pub mod spool;

pub mod pair;

pub mod sandbox;

pub mod store;

pub mod session;

pub mod cli;
