//! Who runs against whom in a group, and what is expected there.

use super::Server;
use crate::Fault;
use crate::harness::{Goal, Group, Sample};
use crate::raw_uring::Wait;

/// The contenders of one group: flux with one of its engines, the limit of that engine, and tokio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lineup {
    /// flux as it is where the kernel allows a ring.
    Uring,
    /// flux on epoll.
    Epoll,
    /// flux with feeds, where the kernel fills their memory by itself; and flux that reads.
    Feeds,
}

impl Lineup {
    /// Those that can do all work, in the order in which they are measured.
    pub const ALL: [Self; 2] = [Self::Uring, Self::Epoll];
    /// Those that can receive a feed.
    pub const OF_FEEDS: [Self; 3] = [Self::Uring, Self::Epoll, Self::Feeds];

    /// The contenders; flux comes first, then its limit.
    #[must_use]
    pub fn servers(self) -> &'static [Server] {
        match self {
            Self::Uring => &[
                Server::Flux(Wait::Block),
                Server::Raw(Wait::Block),
                Server::Tokio,
            ],
            Self::Epoll => &[Server::FluxOnEpoll, Server::RawEpoll, Server::Tokio],
            Self::Feeds => &[
                Server::FluxFeed(Wait::Block),
                Server::RawFeed(Wait::Block),
                Server::Tokio,
                Server::Flux(Wait::Block),
                Server::FluxFeedOnEpoll,
            ],
        }
    }

    /// A group of these contenders: `work` on `what`, such as `"echo"` on `"16 connections"`.
    pub fn group<'a>(
        self,
        work: &str,
        what: &str,
        rounds: usize,
        run: impl Fn(Server) -> Result<Sample, Fault> + Copy + 'a,
    ) -> Group<'a> {
        let on = match self {
            Self::Uring => "",
            Self::Epoll => " on epoll",
            Self::Feeds => " in place",
        };
        let mut group = Group::new(format!("{work}{on}, {what}"), "ns/msg", rounds);
        for &server in self.servers() {
            group = group.contender(server.name(), move || run(server));
        }
        for goal in self.goals() {
            group = group.goal(goal);
        }
        group
    }

    fn goals(self) -> Vec<Goal> {
        let at_most = |other: usize, at_most| Goal::Ratio {
            contender: self.servers()[0].name(),
            over: self.servers()[other].name(),
            at_most,
        };
        match self {
            Self::Uring => vec![at_most(1, 1.03)],
            // The same kernel interface on both sides: dearer than tokio there is no reason to be.
            Self::Epoll => vec![at_most(1, 1.03), at_most(2, 1.0)],
            Self::Feeds => vec![at_most(1, 1.02), at_most(2, 0.85)],
        }
    }
}
