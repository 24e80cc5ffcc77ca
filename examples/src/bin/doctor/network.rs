//! What stands between a network card and the reactor's core: interrupts, polling, buffers.

use crate::files::{Files, cores};
use crate::finding::Finding;

/// The names of interrupts that are listed; the rest is counted.
const NAMES_MAX: usize = 3;
/// The most bytes that a socket may be given to receive in, below which bursts of datagrams are lost.
const RECEIVE_BYTES: u64 = 4 << 20;

/// All that is to be said of the network, for a reactor on this core.
pub(crate) fn findings(files: &dyn Files, core: usize) -> Vec<Finding> {
    vec![interrupts(files, core), polling(files), buffers(files)]
}

/// The device at the end of an interrupt's line in `/proc/interrupts`; the lines begin with the number.
fn device(table: &str, number: &str) -> Option<String> {
    let line = table.lines().find_map(|line| {
        let (name, rest) = line.split_once(':')?;
        (name.trim() == number).then_some(rest)
    })?;
    let last = line.split_whitespace().next_back()?;
    // Counts alone: nobody is at the other end.
    last.parse::<u64>().is_err().then(|| last.to_owned())
}

/// The interrupts of devices that are delivered to this core, and how many there are at all; `None` where
/// nobody may look.
fn delivered_to(files: &dyn Files, core: usize) -> Option<(Vec<String>, usize)> {
    let table = files.read("proc/interrupts").ok()?;
    let (mut here, mut readable, mut all) = (Vec::new(), false, 0);
    let mut numbers = files.list("proc/irq");
    numbers.sort_by_key(|number| number.parse::<u32>().unwrap_or(u32::MAX));
    for number in numbers {
        let Some(device) = device(&table, &number) else {
            continue;
        };
        all += 1;
        let where_to = ["effective_affinity_list", "smp_affinity_list"];
        let list = where_to.iter().find_map(|name| {
            let list = files.read(&format!("proc/irq/{number}/{name}")).ok()?;
            (!list.is_empty()).then_some(list)
        });
        readable |= list.is_some();
        if list.is_some_and(|list| cores(&list).contains(&core)) {
            here.push(format!("{number} {device}"));
        }
    }
    readable.then_some((here, all))
}

fn interrupts(files: &dyn Files, core: usize) -> Finding {
    let topic = "interrupts";
    let Some((here, all)) = delivered_to(files, core) else {
        return Finding::hint(
            topic,
            "not readable: `/proc/irq/*/smp_affinity_list`",
            "run as root once, outside of a container",
        );
    };
    if here.is_empty() {
        return Finding::ok(topic, format!("none of {all} goes to core {core}"));
    }
    let named = here[..here.len().min(NAMES_MAX)].join(", ");
    let more = here.len().saturating_sub(NAMES_MAX);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    Finding::hint(
        topic,
        format!("{} of {all} go to core {core}: {named}{more}", here.len()),
        "write other cores to `/proc/irq/NUMBER/smp_affinity_list`, and stop `irqbalance`, which undoes that",
    )
}

fn polling(files: &dyn Files) -> Finding {
    let topic = "busy polling";
    let cards = files.list("sys/class/net");
    if cards.iter().all(|name| name == "lo") {
        return Finding::ok(topic, "there is no network card to poll");
    }
    match files.read("proc/sys/net/core/busy_read") {
        Ok(time) if time != "0" => Finding::ok(topic, format!("every socket polls for {time} us")),
        Ok(_) => Finding::hint(
            topic,
            "off: what arrives waits for the card's interrupt",
            "`set_busy_poll` on the feed and `idle = \"spin\"`, where the card's driver can (NAPI)",
        ),
        Err(error) => Finding::unreadable(topic, "proc/sys/net/core/busy_read", &error),
    }
}

fn buffers(files: &dyn Files) -> Finding {
    let topic = "receive buffers";
    let path = "proc/sys/net/core/rmem_max";
    let most = match files.read(path) {
        Ok(text) => text,
        Err(error) => return Finding::unreadable(topic, path, &error),
    };
    match most.parse::<u64>() {
        Ok(bytes) if bytes < RECEIVE_BYTES => Finding::hint(
            topic,
            format!(
                "{} KiB a socket at the most: a burst of datagrams that is larger is lost",
                bytes / 1024
            ),
            format!("`sysctl -w net.core.rmem_max={}`", 2 * RECEIVE_BYTES),
        ),
        Ok(bytes) => Finding::ok(topic, format!("up to {} KiB a socket", bytes / 1024)),
        Err(_) => Finding::hint(
            topic,
            format!("`/{path}` says `{most}`"),
            "look at it by hand",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::fixture::Fixture;
    use crate::finding::{Verdict, says};

    const TABLE: &str = "           CPU0       CPU1\n \
        24:          1          0  IO-APIC   5-edge      ACPI:Ged\n \
        36:          0     503255  PCI-MSIX-0000:00:02.0   1-edge      eth0-rx-0\n \
        37:          0          0  PCI-MSIX-0000:00:02.0   2-edge      eth0-tx-0\n \
        38:          0          0\n\
        LOC:    5319155    4948919   Local timer interrupts\n";

    #[test]
    fn interrupts_are_counted_where_they_are_delivered() {
        let machine = Fixture(&[
            ("proc/interrupts", TABLE),
            ("proc/irq/default_smp_affinity", "3"),
            ("proc/irq/24/effective_affinity_list", "0\n"),
            ("proc/irq/24/smp_affinity_list", "0-1\n"),
            ("proc/irq/36/effective_affinity_list", "1\n"),
            // An older kernel, or one that has not set it up: what is allowed is all that is known.
            ("proc/irq/37/effective_affinity_list", "\n"),
            ("proc/irq/37/smp_affinity_list", "0-1\n"),
            ("proc/irq/38/smp_affinity_list", "0-1\n"),
        ]);
        let parts = [
            "2 of 3 go to core 1: 36 eth0-rx-0, 37 eth0-tx-0",
            "irqbalance",
        ];
        says(&interrupts(&machine, 1), Verdict::Hint, &parts);
        says(
            &interrupts(&machine, 0),
            Verdict::Hint,
            &["2 of 3 go to core 0: 24 ACPI:Ged"],
        );
        says(&interrupts(&machine, 7), Verdict::Ok, &["none of 3"]);
        let hidden = Fixture(&[
            ("proc/interrupts", TABLE),
            ("proc/irq/24/smp_affinity_list", "!"),
        ]);
        says(&interrupts(&hidden, 0), Verdict::Hint, &["not readable"]);
        says(
            &interrupts(&Fixture(&[]), 0),
            Verdict::Hint,
            &["not readable"],
        );
    }

    #[test]
    fn polling_matters_where_there_is_a_card() {
        let lo = ("sys/class/net/lo/mtu", "65536");
        let eth = ("sys/class/net/eth0/mtu", "1500");
        let off = ("proc/sys/net/core/busy_read", "0\n");
        let on = ("proc/sys/net/core/busy_read", "50\n");
        says(
            &polling(&Fixture(&[lo, off])),
            Verdict::Ok,
            &["no network card"],
        );
        says(
            &polling(&Fixture(&[lo, eth, off])),
            Verdict::Hint,
            &["set_busy_poll"],
        );
        says(&polling(&Fixture(&[lo, eth, on])), Verdict::Ok, &["50 us"]);
        says(&polling(&Fixture(&[eth])), Verdict::Hint, &["not readable"]);
    }

    #[test]
    fn small_buffers_are_told() {
        let of = |text| buffers(&Fixture(&[("proc/sys/net/core/rmem_max", text)]));
        says(
            &of("212992\n"),
            Verdict::Hint,
            &["208 KiB", "rmem_max=8388608"],
        );
        says(&of("4194304\n"), Verdict::Ok, &["4096 KiB"]);
        says(&of("plenty"), Verdict::Hint, &["plenty"]);
        says(&of("!"), Verdict::Hint, &["not readable"]);
    }
}
