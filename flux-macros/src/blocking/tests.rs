//! What is found in bodies, and what is let be.

use super::*;

/// The first lines of what is found in a body.
fn found_in(item: &str, leave: Leave) -> Vec<String> {
    let mut faults = Faults::default();
    let parsed = Function::parse(item.parse().unwrap_or_default());
    assert!(parsed.is_ok(), "{item}");
    if let Ok(function) = parsed {
        check(&function, &Root::default(), leave, &mut faults);
    }
    let messages = faults.messages();
    let first = messages.iter().filter_map(|message| message.lines().next());
    first
        .map(|line| line.replace(" blocks the core, and every fiber with it", ""))
        .collect()
}

#[track_caller]
fn finds(body: &str, expected: &[&str]) {
    assert_eq!(
        found_in(&format!("fn f() {{ {body} }}"), Leave::Refused),
        expected,
        "{body}"
    );
}

#[test]
fn paths_that_begin_with_std_are_seen() {
    finds("std::thread::sleep(d);", &["`std::thread::sleep`"]);
    finds("::std::thread::sleep(d)", &["`std::thread::sleep`"]);
    finds(
        "let a = std::fs::read_to_string(p)?;",
        &["`std::fs::read_to_string`"],
    );
    finds(
        "std::net::TcpStream::connect(a)?",
        &["`std::net::TcpStream::connect`"],
    );
    finds(
        "if x { loop { std::thread::park() } }",
        &["`std::thread::park`"],
    );
    finds(
        "println!(\"{}\", std::fs::read(p).len());",
        &["`std::fs::read`"],
    );
    finds(
        "match x { 1 => std::thread::sleep(d), _ => () }",
        &["`std::thread::sleep`"],
    );
    finds(
        "std::net::TcpListener::accept(&l);",
        &["`std::net::TcpListener::accept`"],
    );
    finds(
        "flux::timeout(d, || std::thread::sleep(d));",
        &["`std::thread::sleep`"],
    );
    finds(
        "xs.iter().for_each(|x| std::thread::sleep(*x));",
        &["`std::thread::sleep`"],
    );
}

#[test]
fn names_that_the_body_brings_are_seen() {
    finds(
        "use std::thread; thread::sleep(d);",
        &["`std::thread::sleep`"],
    );
    finds(
        "use std::thread::sleep as nap; nap(d);",
        &["`std::thread::sleep`"],
    );
    finds(
        "use std::{fs::{self, File}, thread}; fs::read(p); File::open(p);",
        &["`std::fs::read`", "`std::fs::File::open`"],
    );
    finds(
        "thread::sleep(d); use std::thread;",
        &["`std::thread::sleep`"],
    );
    finds(
        "use std::net::*; TcpStream::connect(a);",
        &["`std::net::TcpStream::connect`"],
    );
    finds(
        "use std as s; s::thread::sleep(d);",
        &["`std::thread::sleep`"],
    );
    finds("{ use std::thread; } thread::sleep(d);", &[]);
}

#[test]
fn methods_are_seen_where_the_type_is_plain() {
    finds(
        "std::process::Command::new(c).arg(a).output()?;",
        &["`output` of `std::process::Command`"],
    );
    finds(
        "let worker = std::thread::spawn(run); worker.join().unwrap();",
        &["`join` of `std::thread::JoinHandle`"],
    );
    finds(
        "let (tx, rx) = std::sync::mpsc::channel(); rx.recv()",
        &["`recv` of `std::sync::mpsc::Receiver`"],
    );
    finds(
        "let (tx, rx) = std::sync::mpsc::sync_channel(1); tx.send(1)",
        &["`send` of `std::sync::mpsc::SyncSender`"],
    );
    finds(
        "let l = std::net::TcpListener::bind(a)?; l.accept()?;",
        &["`accept` of `std::net::TcpListener`"],
    );
    finds(
        "std::fs::OpenOptions::new().read(true).open(p)",
        &["`open` of `std::fs::OpenOptions`"],
    );
    finds(
        "let mut t = String::new(); std::io::stdin().read_line(&mut t);",
        &["`read_line` of `std::io::Stdin`"],
    );
    assert_eq!(
        found_in(
            "fn f(rx: &std::sync::mpsc::Receiver<u8>) { rx.recv(); }",
            Leave::Refused
        ),
        ["`recv` of `std::sync::mpsc::Receiver`"]
    );
}

#[test]
fn what_may_be_flux_s_own_or_anything_else_is_let_be() {
    for body in [
        "TcpStream::connect(a)?; thread::sleep(d); fs::read(p);",
        "use flux::net::TcpStream; TcpStream::connect(a)?;",
        "use std::net::TcpStream as Std; use flux::net::TcpStream; TcpStream::connect(a)?;",
        "mod std { pub mod thread { pub fn sleep() {} } } std::thread::sleep();",
        "use std::thread; { mod thread { pub fn sleep() {} } thread::sleep(); }",
        "flux::time::sleep(d)?; flux::net::TcpStream::connect(a)?;",
        "let l = std::net::TcpListener::bind(a)?; let l = flux::net::TcpListener::from(l); l.accept()?;",
        "let rx = std::sync::mpsc::channel().1; for rx in all { rx.recv(); }",
        "let (tx, rx) = std::sync::mpsc::channel(); if let Some(rx) = other { rx.recv(); }",
        "let (tx, rx) = std::sync::mpsc::channel(); match other { Some(rx) => rx.recv(), None => 1 };",
        "std::thread::spawn(|| std::thread::sleep(d));",
        "flux::blocking::run(|| std::fs::read(p));",
        "let later = || std::thread::sleep(d); pool.execute(|| std::fs::read(p));",
        "fn helper() { std::thread::sleep(d) } async { std::thread::sleep(d) };",
        "stringify!(std::thread::sleep(d)); let f = std::thread::sleep;",
        "std::fs::OpenOptions::new(); std::fs::FileType::is_dir; std::net::UdpSocket::bind(a);",
        "std::thread::spawn(run).thread().id(); println!(\"{}\", std::process::id());",
    ] {
        finds(body, &[]);
    }
}

#[test]
fn a_second_reactor_is_seen_and_no_reason_excuses_it() {
    let second = " makes a second reactor, and a program has one";
    for (body, what) in [
        (
            "flux::Config::new().fibers(3).run(|| 1)",
            "`run` of `flux::Config`",
        ),
        (
            "use flux::Config; let c = Config::new(); c.init()",
            "`init` of `flux::Config`",
        ),
        ("flux::init(flux::EventEngine::Auto)", "`flux::init`"),
        ("flux::init!(fibers = 3)", "`flux::init!`"),
        ("let r = flux::init!();", "`flux::init!`"),
        ("flux::Config::run(config, main)", "`flux::Config::run`"),
    ] {
        for leave in [Leave::Refused, Leave::Given] {
            let found = found_in(&format!("fn f() {{ {body} }}"), leave);
            assert_eq!(found, [format!("{what}{second}")], "{body}");
        }
    }
    finds("Config::new().run(|| 1); init(); config.run();", &[]);
}

#[test]
fn leave_to_block_is_leave_for_every_call() {
    let found = found_in(
        "fn f() { std::thread::sleep(d); std::fs::read(p); }",
        Leave::Given,
    );
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_body_that_is_no_rust_yet_is_let_be() {
    finds("std::thread::sleep(d) +;", &[]);
    finds("let = ; std::thread::sleep(d)", &[]);
}

/// The file for clippy has a line for each call that clippy can be told of.
#[test]
fn what_blocks_here_blocks_in_the_file_for_clippy_too() {
    let file = include_str!("../../../flux/lints/clippy.toml");
    // Methods of `Read` and `Write`, which flux's streams have too; and what is deprecated, or not yet stable.
    let of_traits = [
        "read",
        "read_exact",
        "read_to_end",
        "read_to_string",
        "read_vectored",
        "write",
        "write_all",
        "write_fmt",
        "write_vectored",
    ];
    let mut count = 0;
    for path in known::listed() {
        let (owner, name) = path.rsplit_once("::").unwrap_or_default();
        let is_of_a_trait = of_traits.contains(&name) && owner != "std::io" && owner != "std::fs";
        let no_such = ["std::thread::sleep_ms", "std::thread::sleep_until"]
            .contains(&path.as_str())
            || (owner == "std::os::unix::net::UnixStream" && name == "connect_timeout");
        if path.starts_with("flux") || is_of_a_trait || no_such {
            continue;
        }
        count += 1;
        assert!(file.contains(&format!("path = \"{path}\"")), "{path}");
    }
    assert!(count > 30, "{count}");
}
