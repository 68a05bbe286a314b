//! The socket between the supervisor of a trial and its first process: single letters, some with a
//! descriptor.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, socketpair,
};

use super::sys;

/// What is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// Supervisor: ids are mapped, begin.
    Go,
    /// First process: this is the terminal of the build.
    Terminal,
    /// First process: system calls of the build arrive here.
    Listener,
    /// First process: the build has ended; what follows is no longer its time.
    Ended,
}

/// One end.
#[derive(Debug)]
pub(super) struct Link(OwnedFd);

impl Word {
    fn letter(self) -> u8 {
        match self {
            Self::Go => b'g',
            Self::Terminal => b't',
            Self::Listener => b'l',
            Self::Ended => b'e',
        }
    }
}

impl Link {
    /// Both ends.
    pub(super) fn pair() -> Result<(Self, Self), Errno> {
        let (one, other) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )?;
        Ok((Self(one), Self(other)))
    }

    /// Says a word and hands over a descriptor.
    pub(super) fn say(&self, word: Word, fd: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
        let letter = [word.letter()];
        let fds: Vec<_> = fd.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&fds)];
        let control = if fds.is_empty() { &[][..] } else { &rights[..] };
        sendmsg::<()>(
            self.0.as_raw_fd(),
            &[IoSlice::new(&letter)],
            control,
            MsgFlags::MSG_NOSIGNAL,
            None,
        )
        .map(drop)
    }

    /// Waits for a word; `None` when the other end is gone.
    pub(super) fn hear(&self) -> Result<Option<(Word, Option<OwnedFd>)>, Errno> {
        let mut letter = [0];
        let mut space = nix::cmsg_space!([std::os::fd::RawFd; 1]);
        let mut parts = [IoSliceMut::new(&mut letter)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<()>(self.0.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
        let (bytes, mut received) = (message.bytes, Vec::new());
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(fds) = control {
                received.extend(sys::adopt_received(&fds));
            }
        }
        let word = [Word::Go, Word::Terminal, Word::Listener, Word::Ended]
            .into_iter()
            .find(|word| bytes == 1 && word.letter() == letter[0]);
        Ok(word.map(|word| (word, received.pop())))
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
