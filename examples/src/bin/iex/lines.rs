//! The lines: two groups on loopback, and the thread that sends on them.
//!
//! Knows what is sent when, and nothing of what becomes of it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket as StdSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use flux::net::UdpSocket;
use flux_examples::iex::Header;

use crate::exchange::Plan;
use crate::options::Speed;

/// The interface, which every machine has; named by its address, so that no route is needed.
const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Line A is for everybody's packets, in the block that stays in an organisation (RFC 2365); line B is of one source,
/// in the block for that (RFC 4607).
const GROUPS: [Ipv4Addr; 2] = [
    Ipv4Addr::new(239, 215, 21, 4),
    Ipv4Addr::new(232, 215, 21, 132),
];
/// What the kernel is asked to keep for the receiver; it may keep less.
const KEPT_BYTES: usize = 4 << 20;
/// The furthest that a paced sender goes ahead of the receiver, in packets: what fits into the smallest receive buffer
/// that a system is likely to give.
const AHEAD_MAX: u64 = 64;
/// How long it waits for a receiver that takes nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the end is told, and for how long at the most.
const HEARTBEAT: Duration = Duration::from_millis(2);
const HEARTBEATS_MAX: u32 = 5000;

/// What the sender and the receiver know of each other.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Packets that were received, or dropped.
    pub(crate) received: AtomicU64,
    /// The receiver has seen the end of every line.
    pub(crate) over: AtomicBool,
}

/// A socket that has joined a line.
pub(crate) fn join(line: usize) -> Result<UdpSocket, String> {
    let group = GROUPS[line];
    let cannot = |what: &str, error: &io::Error| {
        format!(
            "cannot {what} group {group} on loopback ({error}): this machine has no multicast there; \
             `ip link set lo multicast on` and `ip route add 224.0.0.0/4 dev lo`, as root, may give it"
        )
    };
    // At the group's own address: nothing but the line comes there. The port is one that is free.
    let socket = UdpSocket::bind((group, 0)).map_err(|error| cannot("bind to", &error))?;
    let joined = if line == 0 {
        socket.join_multicast_v4(&group, &HERE)
    } else {
        socket.join_ssm_v4(&HERE, &group, &HERE)
    };
    joined.map_err(|error| cannot("join", &error))?;
    let kept = socket.set_recv_buffer_size(KEPT_BYTES);
    kept.map_err(|error| format!("cannot set a receive buffer: {error}"))?;
    Ok(socket)
}

/// Sends all of the plan, and then the news that this was all, until the receiver has it.
pub(crate) fn send(
    plan: &Plan,
    lines: &[SocketAddr],
    speed: Speed,
    progress: &Progress,
) -> Result<(), String> {
    let cannot = |error: io::Error| format!("cannot send to a group on loopback: {error}");
    // Nobody has to be told if this fails: it shares a core then.
    let _shared = flux::unpin_thread();
    let socket = StdSocket::bind((HERE, 0)).map_err(cannot)?;
    let set = socket2::SockRef::from(&socket).set_multicast_if_v4(&HERE);
    set.map_err(cannot)?;
    let began = Instant::now();
    for (sent, packet) in plan.order.iter().enumerate() {
        if let Speed::Rate(rate) = speed {
            wait_until(began, packet.turn, rate);
            wait_for_receiver(sent as u64, progress);
        }
        let bytes = &plan.packets[packet.packet];
        socket.send_to(bytes, lines[packet.line]).map_err(cannot)?;
    }
    let over = Header::heartbeat(plan.session, plan.sequence.end);
    for _ in 0..HEARTBEATS_MAX {
        if progress.over.load(Ordering::Relaxed) {
            break;
        }
        for line in lines {
            socket.send_to(&over, line).map_err(cannot)?;
        }
        thread::sleep(HEARTBEAT);
    }
    Ok(())
}

fn wait_until(began: Instant, turn: u64, rate: f64) {
    // A capture has far fewer packets than a float tells apart.
    #[allow(clippy::cast_precision_loss, reason = "see the line above")]
    let due = Duration::from_secs_f64(turn as f64 / rate);
    let early = due.saturating_sub(began.elapsed());
    if early > Duration::from_millis(1) {
        thread::sleep(early);
    }
}

/// Waits for a receiver that is far behind, but not for ever.
fn wait_for_receiver(sent: u64, progress: &Progress) {
    let behind = || sent.saturating_sub(progress.received.load(Ordering::Relaxed));
    if behind() < AHEAD_MAX {
        return;
    }
    let since = Instant::now();
    while behind() >= AHEAD_MAX && since.elapsed() < PATIENCE {
        thread::sleep(Duration::from_micros(50));
    }
}
