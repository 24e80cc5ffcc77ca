//! What can go wrong in TLS, in types that a caller can match and sentences that a person can act on.
//!
//! Knows nothing of where an error arises.

use std::path::PathBuf;
use std::{fmt, io};

use super::alert::Alert;
use super::fault::Fault;

/// Why a connection over TLS was not made, or has ended.
///
/// Its [`io::Error`] keeps the kind (and for [`Io`](Self::Io) is the error itself, so that being cancelled stays
/// `ECANCELED`), and gives it back by `get_ref` and a downcast.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// What was given as the host is neither a name nor an address.
    Host(Box<str>),
    /// A file of certificates could not be read.
    RootsFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// What was given as certificates holds none, or one that is none.
    Roots {
        /// Where they were to come from.
        from: Box<str>,
        /// What is wrong.
        why: Box<str>,
    },
    /// The wire has less memory than records need.
    SmallWire {
        /// Its capacity, in bytes.
        capacity: usize,
        /// The least that it may be, in bytes.
        least: usize,
    },
    /// The server's certificate does not show that it is the host.
    Certificate {
        /// The host that was asked for.
        host: Box<str>,
        /// What is wrong with it.
        fault: CertificateFault,
    },
    /// The server ended the handshake with an alert.
    Refused {
        /// The host that was asked for.
        host: Box<str>,
        /// Its alert.
        alert: Alert,
    },
    /// The handshake failed: what came is no TLS, or TLS that goes another way.
    Handshake {
        /// The host that was asked for.
        host: Box<str>,
        /// What happened.
        why: Box<str>,
    },
    /// The connection ended in mid-handshake.
    HandshakeEnded {
        /// The host that was asked for.
        host: Box<str>,
    },
    /// The server's side of the handshake takes no end.
    HandshakeTooLong {
        /// The host that was asked for.
        host: Box<str>,
        /// How many bytes it may be.
        bytes_max: usize,
    },
    /// The stream is broken.
    Broken(Fault),
    /// What lies below failed: the socket, the deadline, or the fiber was cancelled.
    Io(io::Error),
}

/// What is wrong with a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateFault {
    /// It was good until then, in seconds since 1970.
    Expired {
        /// The last second of it.
        not_after: u64,
        /// The clock's time, in the same seconds.
        now: u64,
    },
    /// It will be good from then on, in seconds since 1970.
    NotYetValid {
        /// The first second of it.
        not_before: u64,
        /// The clock's time, in the same seconds.
        now: u64,
    },
    /// None of the roots stands behind it; a certificate that signed itself is of this kind too.
    UnknownIssuer,
    /// It is for other hosts.
    WrongHost {
        /// The names that it is for.
        presented: Vec<String>,
    },
    /// Anything else, in a sentence.
    Other(Box<str>),
}

/// Seconds since 1970 as a date of the calendar, in UTC.
struct Date(u64);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, seconds) = (self.0 / 86_400, self.0 % 86_400);
        // Years that begin in March, in eras of 400 of them: the leap day is the last day of its year.
        let since_era_zero = days + 719_468;
        let (era, day_of_era) = (since_era_zero / 146_097, since_era_zero % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = (month_from_march + 2) % 12 + 1;
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC"
        )
    }
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired { not_after, now } => write!(
                f,
                "it expired at {}, and the clock says {}",
                Date(*not_after),
                Date(*now)
            ),
            Self::NotYetValid { not_before, now } => write!(
                f,
                "it is not valid before {}, and the clock says {}",
                Date(*not_before),
                Date(*now)
            ),
            Self::UnknownIssuer => f.write_str(
                "none of the given roots stands behind it; add its issuer with `Roots::from_pem_file`",
            ),
            Self::WrongHost { presented } if presented.is_empty() => {
                f.write_str("it is for no host at all")
            }
            Self::WrongHost { presented } => {
                f.write_str("it is for")?;
                for (at, name) in presented.iter().enumerate() {
                    write!(f, "{} {name}", if at == 0 { "" } else { "," })?;
                }
                Ok(())
            }
            Self::Other(why) => f.write_str(why),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => {
                write!(f, "`{host}` is neither the name of a host nor an address")
            }
            Self::RootsFile { path, error } => {
                write!(
                    f,
                    "cannot read certificates from `{}`: {error}",
                    path.display()
                )
            }
            Self::Roots { from, why } => write!(f, "cannot take certificates from {from}: {why}"),
            Self::SmallWire { capacity, least } => write!(
                f,
                "a wire of {capacity} bytes is too small for TLS, which needs {least}; raise `feed_buffer` \
                 (or `FLUX_FEED_BUFFER`)"
            ),
            Self::Certificate { host, fault } => {
                write!(f, "the certificate of `{host}` is refused: {fault}")
            }
            Self::Refused { host, alert } => {
                write!(f, "`{host}` refused the handshake with alert {alert}")
            }
            Self::Handshake { host, why } => write!(f, "the handshake with `{host}` failed: {why}"),
            Self::HandshakeEnded { host } => {
                write!(f, "`{host}` ended the connection in mid-handshake")
            }
            Self::HandshakeTooLong { host, bytes_max } => write!(
                f,
                "the handshake with `{host}` takes no end: more than {bytes_max} bytes came"
            ),
            Self::Broken(fault) => fault.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::RootsFile { error, .. } | Self::Io(error) => Some(error),
            Self::Broken(fault) => Some(fault),
            _ => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Broken(fault)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Io(_) => {
                let Error::Io(inner) = error else {
                    unreachable!("matched in the line above")
                };
                return inner;
            }
            // A code of the system is kept as one: it is what says that a fiber was cancelled.
            Error::Broken(Fault::Transport(_, Some(code))) => {
                return Self::from_raw_os_error(*code);
            }
            Error::Host(_) | Error::Roots { .. } | Error::SmallWire { .. } => {
                io::ErrorKind::InvalidInput
            }
            Error::RootsFile { error, .. } => error.kind(),
            Error::Certificate { .. }
            | Error::Handshake { .. }
            | Error::HandshakeTooLong { .. } => io::ErrorKind::InvalidData,
            Error::Refused { .. } => io::ErrorKind::ConnectionRefused,
            Error::HandshakeEnded { .. } => io::ErrorKind::UnexpectedEof,
            Error::Broken(fault) => fault.kind(),
        };
        Self::new(kind, error)
    }
}

impl From<Fault> for io::Error {
    #[cold]
    fn from(fault: Fault) -> Self {
        Error::Broken(fault).into()
    }
}

#[cfg(test)]
mod tests {
    use super::Date;

    #[test]
    fn a_date_is_that_of_the_calendar() {
        for (seconds, date) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_735_689_599, "2024-12-31 23:59:59 UTC"),
            (4_102_444_800, "2100-01-01 00:00:00 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(Date(seconds).to_string(), date);
        }
    }
}
