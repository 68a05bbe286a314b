//! Steps that concern the build's own process, right before it becomes the build.

use std::ffi::CString;

use nix::errno::Errno;
use nix::sys::personality::{self, Persona};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use super::super::op::{Limits, SetupOp};
use super::powers::drop_powers;
use super::{Step, refused};

/// Carries out one step that concerns the build's own process.
pub(in crate::sandbox) fn apply_to_build(op: &SetupOp) -> Step {
    match op {
        SetupOp::Affinity { cpus } => affinity(cpus).map_err(refused("bind to processors")),
        SetupOp::FixedAddresses => fix_addresses().map_err(refused("set personality")),
        SetupOp::Limits(limits) => set_limits(limits).map_err(refused("set resource limits")),
        SetupOp::Umask { mask } => {
            nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(*mask));
            Ok(())
        }
        SetupOp::DropCapabilities => drop_powers(),
        SetupOp::Identity { uid, gid, groups } => become_user(*uid, *gid, groups.as_deref())
            .map_err(refused(format!("become user {uid}"))),
        SetupOp::Enter { at } => nix::unistd::chdir(at).map_err(refused(format!(
            "enter the build directory {}",
            at.display()
        ))),
        _ => Ok(()),
    }
}

fn affinity(cpus: &[usize]) -> Result<(), Errno> {
    let mut set = nix::sched::CpuSet::new();
    for cpu in cpus {
        set.set(*cpu)?;
    }
    nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set)
}

fn fix_addresses() -> Result<(), Errno> {
    let mut persona = personality::get()?;
    persona.insert(Persona::ADDR_NO_RANDOMIZE);
    personality::set(persona).map(drop)
}

fn set_limits(limits: &Limits) -> Result<(), Errno> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    if let Some(bytes) = limits.memory {
        setrlimit(Resource::RLIMIT_AS, bytes, bytes)?;
    }
    if let Some(count) = limits.processes {
        setrlimit(Resource::RLIMIT_NPROC, count, count)?;
    }
    Ok(())
}

fn become_user(uid: u32, gid: u32, groups: Option<&[u32]>) -> Result<(), Errno> {
    if let Some(groups) = groups {
        let groups: Vec<Gid> = groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
        setgroups(&groups)?;
    }
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)
}

/// Strings for execve(2); one that holds a NUL cannot be passed.
pub(in crate::sandbox) fn c_strings(
    items: impl IntoIterator<Item = String>,
) -> Result<Vec<CString>, Errno> {
    items
        .into_iter()
        .map(|item| CString::new(item).map_err(|_| Errno::EINVAL))
        .collect()
}
