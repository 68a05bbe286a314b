//! Network interfaces of a trial, through rtnetlink(7): the loopback, and one more that leads
//! nowhere. No routes: nothing is reachable.

use std::net::IpAddr;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

// linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h and linux/veth.h.
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const IFF_UP: u32 = 1;
/// No duplicate address detection: the address is usable at once.
const IFA_F_NODAD: u8 = 2;

/// The hardware addresses of the interface and of its peer: locally administered, and the same in
/// every trial, where the kernel would draw lots. The addresses below `fe80::` follow them.
const HARDWARE: [u8; 6] = [0x02, 0x7a, 0x6f, 0x71, 0x61, 0x00];
const HARDWARE_OF_PEER: [u8; 6] = [0x02, 0x7a, 0x6f, 0x71, 0x61, 0x01];

/// Sets `lo` going; it gets its addresses from the kernel.
pub(super) fn loopback_up() -> Result<(), Errno> {
    request(RTM_NEWLINK, 0, &link_message(index_of("lo")?, IFF_UP))
}

/// Makes an interface with these addresses (CIDR notation): a dummy where the kernel has it, else
/// a bridge without ports, else one end of a pair, else the loopback takes the addresses.
pub(super) fn add_interface(name: &str, addresses: &[String]) -> Result<(), Errno> {
    let create = NLM_F_CREATE | NLM_F_EXCL;
    let made = ["dummy", "bridge"]
        .into_iter()
        .any(|kind| request(RTM_NEWLINK, create, &single_message(name, kind)).is_ok());
    let made = made || add_pair(name).is_ok();
    let index = index_of(if made { name } else { "lo" })?;
    for address in addresses {
        request(RTM_NEWADDR, create, &address_message(index, address)?)?;
    }
    request(RTM_NEWLINK, 0, &link_message(index, IFF_UP))
}

fn add_pair(name: &str) -> Result<(), Errno> {
    request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &pair_message(name))?;
    let peer = index_of(&peer_of(name))?;
    request(RTM_NEWLINK, 0, &link_message(peer, IFF_UP))
}

fn index_of(name: &str) -> Result<u32, Errno> {
    if_nametoindex(name)
}

/// Names of interfaces have at most 15 bytes.
fn peer_of(name: &str) -> String {
    let mut peer: String = name.chars().filter(char::is_ascii).take(13).collect();
    peer.push_str("-p");
    peer
}

fn c_string(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// `struct ifinfomsg`: family, padding, type, index, flags, mask of changed flags.
fn link_message(index: u32, up: u32) -> Vec<u8> {
    let mut message = vec![0; 4];
    for word in [index, up, up] {
        message.extend(word.to_ne_bytes());
    }
    message
}

fn new_link(name: &str, hardware: &[u8]) -> Vec<u8> {
    let mut message = link_message(0, 0);
    attribute(&mut message, IFLA_IFNAME, &c_string(name));
    attribute(&mut message, IFLA_ADDRESS, hardware);
    message
}

fn single_message(name: &str, kind: &str) -> Vec<u8> {
    let mut message = new_link(name, &HARDWARE);
    attribute(
        &mut message,
        IFLA_LINKINFO,
        &nested(IFLA_INFO_KIND, kind.as_bytes()),
    );
    message
}

fn pair_message(name: &str) -> Vec<u8> {
    let peer = new_link(&peer_of(name), &HARDWARE_OF_PEER);
    let mut info = nested(IFLA_INFO_KIND, b"veth");
    attribute(&mut info, IFLA_INFO_DATA, &nested(VETH_INFO_PEER, &peer));
    let mut message = new_link(name, &HARDWARE);
    attribute(&mut message, IFLA_LINKINFO, &info);
    message
}

/// `struct ifaddrmsg`: family, length of the prefix, flags, scope, index.
fn address_message(index: u32, cidr: &str) -> Result<Vec<u8>, Errno> {
    let (address, prefix) = cidr.split_once('/').ok_or(Errno::EINVAL)?;
    let address: IpAddr = address.parse().map_err(|_| Errno::EINVAL)?;
    let prefix: u8 = prefix.parse().map_err(|_| Errno::EINVAL)?;
    let (family, bytes) = match address {
        IpAddr::V4(v4) => (AddressFamily::Inet, v4.octets().to_vec()),
        IpAddr::V6(v6) => (AddressFamily::Inet6, v6.octets().to_vec()),
    };
    let family = u8::try_from(family as i32).map_err(|_| Errno::EINVAL)?;
    let mut message = vec![family, prefix, IFA_F_NODAD, 0];
    message.extend(index.to_ne_bytes());
    attribute(&mut message, IFA_LOCAL, &bytes);
    attribute(&mut message, IFA_ADDRESS, &bytes);
    Ok(message)
}

/// Appends an attribute: length, kind, value, padded to four bytes.
fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

fn nested(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    attribute(&mut message, kind, value);
    message
}

/// Sends one request and waits for its acknowledgement.
fn request(kind: u16, flags: u16, body: &[u8]) -> Result<(), Errno> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    let length = u32::try_from(body.len() + 16).map_err(|_| Errno::EMSGSIZE)?;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend((flags | NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    send(socket.as_raw_fd(), &message, MsgFlags::empty())?;
    let mut answer = [0; 4096];
    let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    // `struct nlmsgerr` follows the header of 16 bytes: zero, or the negative error number.
    let error = answer
        .get(..length)
        .and_then(|answer| answer.get(16..20))
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(-libc::EPROTO, i32::from_ne_bytes);
    match error {
        0 => Ok(()),
        error => Err(Errno::from_raw(-error)),
    }
}
