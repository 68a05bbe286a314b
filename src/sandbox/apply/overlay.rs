//! Overlays: the options that the kernel takes, and what their top directories look like.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

use super::super::identity::Ids;
use super::super::sys;
use super::{MAP_STEP, Step, failed, give, refused};

/// A lower layer, with its owners mapped where that is asked for.
pub(super) fn lower_layer(
    path: &Path,
    map: Option<&OwnedFd>,
    area: &Path,
    number: usize,
) -> Step<PathBuf> {
    let Some(map) = map else {
        return Ok(path.to_owned());
    };
    let step = || format!("{MAP_STEP}{}", path.display());
    let copy = sys::clone_mount(path, false, true).map_err(refused(step()))?;
    sys::map_ids(&copy, map).map_err(refused(step()))?;
    let at = area.join(format!("lower-{number}"));
    fs::create_dir(&at).map_err(failed(step()))?;
    sys::attach_mount(copy, &at).map_err(refused(step()))?;
    Ok(at)
}

/// The top of an overlay shows the metadata of its upper layer, which is new.
pub(super) fn look_like(upper: &Path, lower: &Path) -> std::io::Result<()> {
    let metadata = lower.metadata()?;
    let user = Ids {
        uid: metadata.uid(),
        gid: metadata.gid(),
    };
    // An ordinary user can give nothing away, and need not: what is his stays his.
    let _ = give(upper, user);
    fs::set_permissions(upper, Permissions::from_mode(metadata.mode() & 0o7777))?;
    let times = fs::FileTimes::new()
        .set_accessed(metadata.accessed()?)
        .set_modified(metadata.modified()?);
    File::open(upper)?.set_times(times)
}

/// A list of layers as the overlay's options take it: colon, comma and backslash are escaped.
pub(super) fn layer_list(layers: &[PathBuf]) -> OsString {
    let mut list = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        if number > 0 {
            list.push(b':');
        }
        list.extend(escaped(layer).as_bytes());
    }
    OsString::from_vec(list)
}

fn escaped(path: &Path) -> OsString {
    let mut bytes = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        if matches!(byte, b':' | b',' | b'\\') {
            bytes.push(b'\\');
        }
        bytes.push(byte);
    }
    OsString::from_vec(bytes)
}

pub(super) fn mount_overlay(
    at: &Path,
    lower: &[PathBuf],
    upper: &Path,
    work: &Path,
    in_user_namespace: bool,
) -> Result<(), Errno> {
    let mut options = OsString::from("lowerdir=");
    options.push(layer_list(lower));
    options.push(",upperdir=");
    options.push(escaped(upper));
    options.push(",workdir=");
    options.push(escaped(work));
    if in_user_namespace {
        options.push(",userxattr");
    }
    let plain = options.clone();
    // Nothing of a trial must survive a crash: no fsync at all (Linux 5.10).
    options.push(",volatile");
    let try_mount = |options: &OsString| {
        mount(
            Some("overlay"),
            at,
            Some("overlay"),
            MsFlags::MS_NODEV,
            Some(options.as_os_str()),
        )
    };
    match try_mount(&options) {
        Err(Errno::EINVAL) => try_mount(&plain),
        done => done,
    }
}

pub(super) fn overlay_hint(errno: Errno) -> &'static str {
    match errno {
        Errno::ELOOP => {
            "the scratch directory lies inside the source: set TMPDIR to a directory outside of it"
        }
        Errno::EINVAL => {
            "overlayfs refuses this file system below or as scratch space: set TMPDIR to a directory on ext4, xfs, btrfs or tmpfs"
        }
        Errno::ENODEV => "the kernel has no overlayfs: modprobe overlay",
        Errno::EPERM => "overlays of ordinary users need Linux 5.11",
        _ => "",
    }
}
