//! Sockets between processes of this machine, and their addresses.
//!
//! An address is std's ([`std::os::unix::net::SocketAddr`]): a path, nothing, or on Linux an abstract name.

pub(super) mod listener;
pub(super) mod stream;

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;

use socket2::SockAddr;

/// The bytes of the longest name that any system takes (`sun_path` of Linux, with the zero of abstract names).
const NAME_MAX: usize = 108;

/// An address of std as the system wants it.
fn to_system(address: &SocketAddr) -> io::Result<SockAddr> {
    if let Some(name) = abstract_name(address) {
        // A leading zero says that it is one.
        let mut bytes = [0; NAME_MAX];
        let end = 1 + name.len();
        let room = bytes.get_mut(1..end).ok_or(io::ErrorKind::InvalidInput)?;
        room.copy_from_slice(name);
        return SockAddr::unix(OsStr::from_bytes(&bytes[..end]));
    }
    SockAddr::unix(address.as_pathname().unwrap_or("".as_ref()))
}

/// An address that came with a connection, as std has it; `None` for one that std would not make of a path.
fn from_system(address: &SockAddr) -> Option<SocketAddr> {
    if let Some(name) = address.as_abstract_namespace() {
        return from_abstract_name(name);
    }
    // No path is the address of a socket that was given none.
    SocketAddr::from_pathname(address.as_pathname().unwrap_or("".as_ref())).ok()
}

#[cfg(target_os = "linux")]
fn abstract_name(address: &SocketAddr) -> Option<&[u8]> {
    use std::os::linux::net::SocketAddrExt as _;
    address.as_abstract_name()
}

#[cfg(not(target_os = "linux"))]
fn abstract_name(_: &SocketAddr) -> Option<&[u8]> {
    None
}

#[cfg(target_os = "linux")]
fn from_abstract_name(name: &[u8]) -> Option<SocketAddr> {
    use std::os::linux::net::SocketAddrExt as _;
    SocketAddr::from_abstract_name(name).ok()
}

#[cfg(not(target_os = "linux"))]
fn from_abstract_name(_: &[u8]) -> Option<SocketAddr> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(address: &SocketAddr) -> Option<SocketAddr> {
        from_system(&to_system(address).unwrap())
    }

    #[test]
    fn paths_and_the_lack_of_one_survive_the_way_through_the_system() {
        let longest = "x".repeat(100);
        for path in ["/tmp/socket", "relative", &longest] {
            let address = SocketAddr::from_pathname(path).unwrap();
            let back = there_and_back(&address).unwrap();
            assert_eq!(back.as_pathname(), address.as_pathname());
        }
        let unnamed = SocketAddr::from_pathname("").unwrap();
        assert!(there_and_back(&unnamed).unwrap().is_unnamed());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn abstract_names_do_too_zeroes_and_all() {
        use std::os::linux::net::SocketAddrExt as _;
        let longest = [b'x'; NAME_MAX - 1];
        for name in [&b"flux"[..], b"a\0b\0", b"\0", &longest] {
            let address = SocketAddr::from_abstract_name(name).unwrap();
            let back = there_and_back(&address).unwrap();
            assert_eq!(back.as_abstract_name(), Some(name));
        }
    }
}
