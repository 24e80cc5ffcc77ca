//! Streams read as feeds: asked of the same servers, read where they arrive, left at any byte, and more of them at
//! once than there are feeds.

use std::io::{self, ErrorKind, Write};
use std::rc::Rc;
use std::time::Duration;

use flux::net::Feed;
use flux_examples::random::Random;

use crate::acts::up_to;
use crate::serve::{GREETING, Verb, check};
use crate::stream::Stream;
use crate::tally::Kind;
use crate::world::{Act, TCP_LISTENERS, World};

/// The longest that a whole feed may take: none is made to.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes of a stream: three times what a feed holds.
const STREAM_MAX: usize = 3 << 18;
const STREAMS_MAX: u64 = 3;

/// Connects, reads some streams in place, and leaves in one way or another.
pub(crate) fn act(world: &Rc<World>, random: &mut Random, _which: usize) -> Act {
    match flux::timeout(PATIENCE, || follow(world, random)) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("a feed failed: {error}")),
        Err(_) => Err(format!("a feed took more than {PATIENCE:?}")),
    }
}

fn follow(world: &World, random: &mut Random) -> io::Result<()> {
    let listener = &world.listeners[up_to(random, TCP_LISTENERS)];
    let Stream::Tcp(stream) = listener.connect(None)? else {
        return Err(io::Error::other("a listener of TCP made something else"));
    };
    let stats = flux::stats();
    if stats.feeds_in_use == stats.feeds_max {
        // Asking would be refused, with a sentence that is allocated.
        world.count(Kind::NoFeed);
        return Ok(());
    }
    let mut feed = stream.into_feed()?;
    world.count(Kind::Feed);
    if feed.fill()? == 0 {
        world.count(Kind::Unserved);
        return Ok(());
    }
    feed.consume(GREETING.len());
    for _ in 0..=random.below(STREAMS_MAX) {
        if random.one_in(4) {
            wait_in_vain(world, random, &mut feed)?;
        }
        let len = 1 + up_to(random, STREAM_MAX);
        feed.write_all(&Verb::Pour.request(len))?;
        let leave_at = if random.one_in(4) {
            up_to(random, len)
        } else {
            usize::MAX
        };
        if !read(world, random, &mut feed, len, leave_at)? {
            world.count(Kind::Abandon);
            return Ok(());
        }
    }
    Ok(())
}

/// Reads a stream, keeping some of it unread as it pleases; false when it was left before its end.
fn read(
    world: &World,
    random: &mut Random,
    feed: &mut Feed,
    len: usize,
    leave_at: usize,
) -> io::Result<bool> {
    let mut at = 0;
    while at < len {
        if at >= leave_at {
            return Ok(false);
        }
        let before = feed.unread().len();
        if before >= feed.capacity() {
            // Asking could be refused, as above.
            world.count(Kind::FeedFull);
        } else if feed.fill()? == before {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        check(at, feed.unread())?;
        let unread = feed.unread().len();
        let taken = match random.below(4) {
            _ if at + unread == len => unread,
            0 | 2 if unread < feed.capacity() => 0,
            1 => up_to(random, unread) + 1,
            _ => unread,
        };
        feed.consume(taken);
        at += taken;
        world.tally.add(Kind::FeedBytes, taken as u64);
    }
    Ok(true)
}

/// Waits where nothing comes.
fn wait_in_vain(world: &World, random: &mut Random, feed: &mut Feed) -> io::Result<()> {
    let time = Duration::from_micros(1 + random.below(2000));
    let result = match flux::timeout(time, || feed.fill()) {
        Ok(result) => result,
        Err(late) => late.into_inner(),
    };
    match result {
        Err(error) if error.kind() == ErrorKind::TimedOut => {
            world.count(Kind::ReadTimeout);
            Ok(())
        }
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::other("a byte came that nobody sent")),
    }
}
