//! Addresses that need no look-up: resolving a host name would block the core.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::slice;

mod sealed {
    pub trait Sealed {}
}

/// What [`TcpStream::connect`](super::TcpStream::connect) and
/// [`TcpListener::bind`](super::TcpListener::bind) take: one address or several, as values or as text.
///
/// As [`std::net::ToSocketAddrs`], but for host names: a look-up blocks for as long as it likes, and with
/// it every fiber. Resolve names before the reactor starts, or on a thread of your own.
///
/// # Example
/// ```
/// # fn main() -> Result<(), flux::RunError> {
/// flux::Config::new().run(|| {
///     let error = flux::net::TcpStream::connect("example.com:443").unwrap_err();
///     assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
/// })
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an address that needs no look-up",
    label = "not a `flux::net::ToSocketAddrs`",
    note = "a host name has to be resolved beforehand: a look-up would block the core"
)]
pub trait ToSocketAddrs: sealed::Sealed {
    /// The addresses, in the order in which they are tried.
    ///
    /// # Errors
    /// `InvalidInput`: a text that is no address and port.
    fn to_socket_addrs(&self) -> io::Result<impl Iterator<Item = SocketAddr>>;
}

/// What comes of the first address that `attempt` succeeds with, or the error of the last one.
#[track_caller]
pub(super) fn first_of<T>(
    addresses: impl ToSocketAddrs,
    mut attempt: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = None;
    for address in addresses.to_socket_addrs()? {
        match attempt(address) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "there is no address to try")
    }))
}

macro_rules! addresses_by_value {
    ($($type:ty),*) => {$(
        impl sealed::Sealed for $type {}

        impl ToSocketAddrs for $type {
            fn to_socket_addrs(&self) -> io::Result<impl Iterator<Item = SocketAddr>> {
                Ok(Some(SocketAddr::from(*self)).into_iter())
            }
        }
    )*};
}

addresses_by_value!(
    SocketAddr,
    SocketAddrV4,
    SocketAddrV6,
    (IpAddr, u16),
    (Ipv4Addr, u16),
    (Ipv6Addr, u16)
);

impl sealed::Sealed for &[SocketAddr] {}

impl ToSocketAddrs for &[SocketAddr] {
    fn to_socket_addrs(&self) -> io::Result<impl Iterator<Item = SocketAddr>> {
        Ok(slice::Iter::clone(&self.iter()).copied())
    }
}

impl sealed::Sealed for str {}

impl ToSocketAddrs for str {
    fn to_socket_addrs(&self) -> io::Result<impl Iterator<Item = SocketAddr>> {
        match self.parse::<SocketAddr>() {
            Ok(address) => Ok(Some(address).into_iter()),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "`{self}` is no IP address and port; a host name has to be resolved beforehand, \
                     since a look-up would block the core"
                ),
            )),
        }
    }
}

impl sealed::Sealed for String {}

impl ToSocketAddrs for String {
    fn to_socket_addrs(&self) -> io::Result<impl Iterator<Item = SocketAddr>> {
        self.as_str().to_socket_addrs()
    }
}

impl<T: ToSocketAddrs + ?Sized> sealed::Sealed for &T {}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {
    fn to_socket_addrs(&self) -> io::Result<impl Iterator<Item = SocketAddr>> {
        (**self).to_socket_addrs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(addresses: impl ToSocketAddrs) -> Vec<String> {
        addresses
            .to_socket_addrs()
            .map(|all| all.map(|one| one.to_string()).collect())
            .unwrap_or_default()
    }

    #[test]
    fn values_and_texts_are_addresses() {
        assert_eq!(all("127.0.0.1:80"), ["127.0.0.1:80"]);
        assert_eq!(all(String::from("[::1]:80")), ["[::1]:80"]);
        assert_eq!(all((Ipv4Addr::LOCALHOST, 7)), ["127.0.0.1:7"]);
        let two = [
            SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
            SocketAddr::from((Ipv6Addr::LOCALHOST, 2)),
        ];
        assert_eq!(all(&two[..]), ["127.0.0.1:1", "[::1]:2"]);
    }

    #[test]
    fn a_host_name_is_refused_by_name() {
        let Err(error) = "example.com:443".to_socket_addrs().map(drop) else {
            panic!("a host name was taken");
        };
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("`example.com:443`"));
    }
}
