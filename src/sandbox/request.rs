//! One trial's request: its layout, its variables, its namespaces, from the session and the
//! environment.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::error::Error;
use super::host::Host;
use super::identity::{self, IdMaps, Ids};
use super::layout::{Inputs, Layout, ROOT, process_ops};
use super::op::SetupOp;
use super::owned::{Links, Owned};
use super::protocol::{Namespaces, Request, Streams, files};
use super::session::{LowerSource, Sandbox};
use super::source::{self, Variant};
use super::supervisor::{Sources, SourcesOwner};
use super::trial::TrialSpec;
use super::variables;
use crate::model::{
    Environment, Need, Network, SourceMode, SourceMtime, SourceOwner, UserIdentity,
};

/// Where the build directory and the home are when there is no sandbox.
struct Places {
    directory: PathBuf,
    home: PathBuf,
}

impl Sandbox {
    fn has(&self, need: Need) -> bool {
        !self.options.capabilities.missing.contains_key(&need)
    }

    fn is_other_user(&self, environment: &Environment) -> bool {
        self.options.capabilities.root && environment.user != UserIdentity::Caller
    }

    /// Whose the source is.
    fn owned(&self) -> Result<Owned, Error> {
        if let Some(owned) = self.owned.get() {
            return Ok(*owned);
        }
        let owned = Owned::of(&self.options.source)?;
        Ok(*self.owned.get_or_init(|| owned))
    }

    /// Whether names of the source tree are hard links of each other. A build that writes to one
    /// changes it alone: overlays keep links only with an index, which ordinary users cannot have.
    pub fn source_has_links(&self) -> bool {
        self.owned().is_ok_and(|owned| owned.links == Links::Within)
    }

    /// Whether the builds of an ordinary user see a copy of the source, all of which is his own. He
    /// cannot give files away: beside the tree as it is, whose files of others he may not write, a
    /// copy with other times or modes would change their owners as well.
    pub fn makes_own(&self) -> bool {
        let owned = || self.owned().ok();
        !self.options.capabilities.root
            && owned().is_some_and(|owned| owned.readable && owned.others(own_ids(&self.host)))
    }

    /// The tree that a trial sees as the source, and whether its owner is yet to be mapped. Maps are
    /// one to one: a tree of several owners is copied for a user who is to own all of it.
    fn lower(&self, environment: &Environment) -> Result<(PathBuf, bool), Error> {
        let other = self.is_other_user(environment);
        let mapped = other && self.maps_owners.load(Ordering::Relaxed) && self.owned()?.alike;
        let given = environment.source_mtime == SourceMtime::AsGiven
            && environment.source_mode == SourceMode::AsGiven
            && !self.makes_own();
        let from_host = self.lower_source() == LowerSource::Host && given;
        if from_host && mapped == other {
            return Ok((self.options.source.clone(), mapped));
        }
        let variant = Variant {
            mtime: environment.source_mtime,
            mode: environment.source_mode,
            keeps_others: self.keeps_others(environment)?,
            owner: (other && !mapped).then(|| identity::ids(&self.host, &environment.user)),
        };
        let copy = self.copies.get(&self.options.source, variant)?;
        Ok((copy, mapped))
    }

    /// Whether the sources keep the bits for all others when their modes are varied. Who builds is let
    /// write them whoever owns them; programs that judge by modes and owners (Perl's `-x`) must come to
    /// the same as without the variation.
    fn keeps_others(&self, environment: &Environment) -> Result<bool, Error> {
        if environment.source_mode == SourceMode::AsGiven {
            return Ok(false);
        }
        let builder = identity::ids(&self.host, &environment.user).uid;
        let caller = identity::ids(&self.host, &UserIdentity::Caller).uid;
        let owner = match &environment.source_owner {
            SourceOwner::Other { uid, .. } => *uid,
            SourceOwner::Builder => builder,
            _ if self.makes_own() => builder,
            SourceOwner::Kept => self.owned()?.top.uid,
            // What is the caller's is shown as the builder's.
            SourceOwner::AsGiven => match self.owned()?.top.uid {
                own if own == caller => builder,
                other => other,
            },
        };
        Ok(builder != 0 && builder != owner)
    }

    /// The steps of a trial in namespaces.
    pub(super) fn layout(
        &self,
        environment: &Environment,
        trial: &Path,
        pooled: bool,
    ) -> Result<Layout, Error> {
        let (lower, mapped) = self.lower(environment)?;
        let maps_caller =
            self.is_other_user(environment) && self.maps_owners.load(Ordering::Relaxed);
        let locales = self.locales.provide(&environment.locale)?;
        let prepared = self.prepared();
        let inputs = Inputs {
            host: &self.host,
            capabilities: &self.options.capabilities,
            environment,
            passed: &self.passed,
            source: &self.options.source,
            lower: &lower,
            source_map: mapped.then_some(0),
            caller_map: maps_caller.then_some(1),
            scratch: self.scratch.dir(),
            trial,
            in_memory: self.in_memory.is_some(),
            pooled,
            prepared: &prepared,
            homes: &self.homes,
            locales: locales.as_deref(),
            limits: self.options.limits,
        };
        inputs.layout()
    }

    /// The steps of a trial where the host forbids namespaces: on a copy of the source.
    fn bare_layout(&self, environment: &Environment, places: &Places) -> Layout {
        let mut ops = Vec::new();
        let capabilities = &self.options.capabilities;
        process_ops(
            &self.host,
            capabilities,
            environment,
            self.options.limits,
            &mut ops,
        );
        ops.push(SetupOp::Enter {
            at: places.directory.clone(),
        });
        Layout {
            ops,
            directory: places.directory.clone(),
            ours: Vec::new(),
        }
    }

    fn bare_places(&self, environment: &Environment, dir: &Path) -> Result<Places, Error> {
        let leaf = self.options.source.file_name().unwrap_or_default();
        let places = Places {
            directory: dir.join("layers/build").join(leaf),
            home: dir.join("layers/home"),
        };
        let parent = dir.join("layers/build");
        for made in [&parent, &places.home] {
            fs::create_dir_all(made).map_err(Error::file("make", made))?;
        }
        let variant = Variant {
            mtime: environment.source_mtime,
            mode: environment.source_mode,
            keeps_others: false,
            owner: None,
        };
        source::copy(&self.options.source, &places.directory, variant)?;
        Ok(places)
    }

    pub(super) fn request(
        &self,
        spec: &TrialSpec,
        dir: &Path,
        streams: Streams,
        pooled: bool,
    ) -> Result<Request, Error> {
        let mut environment = spec.environment.clone();
        let namespaces = self.namespaces(&environment);
        let mut copy_of = None;
        let layout = if namespaces.mount_and_pid {
            self.layout(&environment, dir, pooled)?
        } else {
            let places = self.bare_places(&environment, dir)?;
            copy_of = Some(self.lower(&environment)?.0);
            environment.home.clone_from(&places.home);
            environment.user = UserIdentity::Caller;
            environment.exec_path.clear();
            self.bare_layout(&environment, &places)
        };
        let ids = identity::ids(&self.host, &environment.user);
        let own = own_ids(&self.host);
        let owner_maps = if self.is_other_user(&environment) && namespaces.mount_and_pid {
            let owner = self.owned()?.top;
            vec![IdMaps::swap(owner, ids), IdMaps::swap(own, ids)]
        } else {
            Vec::new()
        };
        let given = &spec.build.variables;
        let variables = variables::of_build(
            &self.host,
            &self.passed,
            &environment,
            given,
            &layout.directory,
        );
        let interactive = streams.are_callers();
        let sources = self.sources(&environment, &layout.directory, ids)?;
        Ok(Request {
            sources,
            ops: layout.ops,
            namespaces,
            user_map: namespaces.user.then(|| IdMaps::single(ids, own)),
            owner_maps: owner_maps
                .into_iter()
                .filter(|_| self.maps_owners.load(Ordering::Relaxed))
                .collect(),
            ids,
            root: self.scratch.dir().join(ROOT),
            command: spec.build.command.clone(),
            variables,
            directory: layout.directory,
            streams: self.streams(&environment, streams),
            timeout: spec.timeout.as_secs_f64(),
            outputs: Some(spec.build.outputs.clone())
                .filter(|_| !interactive || spec.keep_outputs.is_some()),
            copy_of,
            keep: spec.keep_outputs.clone(),
            log: spec.log.clone().unwrap_or_else(|| dir.join(files::LOG)),
            supervised: self.has(Need::Supervisor),
            ours: layout.ours,
            focus: spec.focus.clone(),
            // What a preparation has left may have.
            single: self.prepared().is_empty() && self.owned()?.links == Links::None,
            environment,
        })
    }

    /// Who the sources are said to belong to, where it is not what the kernel says.
    fn sources(
        &self,
        environment: &Environment,
        directory: &Path,
        builder: Ids,
    ) -> Result<Option<Sources>, Error> {
        if !self.has(Need::SourceOwners) {
            return Ok(None);
        }
        let caller = own_ids(&self.host);
        let given = |kept| SourcesOwner::Given {
            tree: self.options.source.clone(),
            caller: (caller.uid, caller.gid),
            builder: (builder.uid, builder.gid),
            kept,
        };
        let owner = match environment.source_owner {
            SourceOwner::Other { uid, gid, .. } => SourcesOwner::One { uid, gid },
            SourceOwner::Builder => SourcesOwner::One {
                uid: builder.uid,
                gid: builder.gid,
            },
            // As they are in the control, in which all of a copy is the caller's.
            SourceOwner::Kept if self.makes_own() => SourcesOwner::One {
                uid: caller.uid,
                gid: caller.gid,
            },
            SourceOwner::Kept => given(true),
            SourceOwner::AsGiven
                if self.is_other_user(environment) && self.owned()?.others(caller) =>
            {
                given(false)
            }
            SourceOwner::AsGiven => return Ok(None),
        };
        Ok(Some(Sources {
            directory: directory.to_owned(),
            owner,
        }))
    }

    fn streams(&self, environment: &Environment, streams: Streams) -> Streams {
        let terminal = &environment.terminal;
        match streams {
            Streams::Log if terminal.tty && self.has(Need::Terminals) => Streams::Terminal {
                rows: 24,
                columns: terminal.columns.unwrap_or(80),
            },
            // What lies below has no terminals to give.
            Streams::Relayed { .. } if !self.has(Need::Terminals) => Streams::Caller,
            streams => streams,
        }
    }

    fn namespaces(&self, environment: &Environment) -> Namespaces {
        if !self.has(Need::Mounts) {
            return Namespaces::default();
        }
        Namespaces {
            user: !self.options.capabilities.root,
            mount_and_pid: true,
            uts: self.has(Need::HostName),
            ipc: true,
            net: self.has(Need::PrivateNetwork) && environment.network != Network::Host,
            cgroup: true,
            time: self.has(Need::MonotonicClocks),
        }
    }
}

fn own_ids(host: &Host) -> Ids {
    Ids {
        uid: host.uid,
        gid: host.gid,
    }
}
