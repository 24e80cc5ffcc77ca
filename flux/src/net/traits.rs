//! The traits of std that sockets have, written once.

/// What every socket of std shows of its descriptor, for one that holds a `Descriptor` as `inner` and can
/// `wrap` a socket of std.
macro_rules! descriptor_traits {
    ($socket:ty) => {
        impl std::fmt::Debug for $socket {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                (*self.inner).fmt(f)
            }
        }

        impl std::os::fd::AsFd for $socket {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.inner.as_fd()
            }
        }

        impl std::os::fd::AsRawFd for $socket {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                self.inner.as_raw_fd()
            }
        }

        impl std::os::fd::IntoRawFd for $socket {
            fn into_raw_fd(self) -> std::os::fd::RawFd {
                self.inner.into_inner().into_raw_fd()
            }
        }

        impl From<$socket> for std::os::fd::OwnedFd {
            fn from(socket: $socket) -> Self {
                socket.inner.into_inner().into()
            }
        }

        impl From<std::os::fd::OwnedFd> for $socket {
            fn from(descriptor: std::os::fd::OwnedFd) -> Self {
                Self::wrap(descriptor.into())
            }
        }
    };
}

/// Reading and writing, for a stream that holds `Timeouts` as `timeouts`, by value and by reference.
macro_rules! stream_traits {
    ($stream:ty) => {
        impl std::io::Read for &$stream {
            #[inline]
            #[track_caller]
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let timeout = self.timeouts.read();
                crate::net::io::receive(self.as_fd(), self.kind(), buffer, false, timeout)
            }

            /// Fills the buffers in their order, by one call.
            #[track_caller]
            fn read_vectored(
                &mut self,
                buffers: &mut [std::io::IoSliceMut<'_>],
            ) -> std::io::Result<usize> {
                let timeout = self.timeouts.read();
                crate::net::message::receive_vectored(self.as_fd(), self.kind(), buffers, timeout)
            }
        }

        impl std::io::Read for $stream {
            #[inline]
            #[track_caller]
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                (&*self).read(buffer)
            }

            /// Fills the buffers in their order, by one call.
            #[track_caller]
            fn read_vectored(
                &mut self,
                buffers: &mut [std::io::IoSliceMut<'_>],
            ) -> std::io::Result<usize> {
                (&*self).read_vectored(buffers)
            }
        }

        impl std::io::Write for &$stream {
            #[inline]
            #[track_caller]
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                let timeout = self.timeouts.write();
                crate::net::io::send(self.as_fd(), self.kind(), bytes, timeout)
            }

            /// Sends the parts in their order, by one call.
            #[track_caller]
            fn write_vectored(&mut self, parts: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
                let timeout = self.timeouts.write();
                crate::net::message::send_vectored(self.as_fd(), self.kind(), parts, timeout)
            }

            /// Does nothing: nothing is held back here.
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }

        impl std::io::Write for $stream {
            #[inline]
            #[track_caller]
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                (&*self).write(bytes)
            }

            /// Sends the parts in their order, by one call.
            #[track_caller]
            fn write_vectored(&mut self, parts: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
                (&*self).write_vectored(parts)
            }

            /// Does nothing: nothing is held back here.
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
    };
}

pub(super) use {descriptor_traits, stream_traits};
