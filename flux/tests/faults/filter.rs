//! Syscalls that fail for the calling thread: a filter, as containers have it.

/// A syscall that is refused from now on.
pub(crate) struct Refused {
    syscall: libc::c_long,
    code: libc::c_int,
    /// Only with this as its first argument: a descriptor, say.
    first_argument: Option<libc::c_int>,
}

impl Refused {
    pub(crate) fn all(syscall: libc::c_long, code: libc::c_int) -> Self {
        Self {
            syscall,
            code,
            first_argument: None,
        }
    }

    pub(crate) fn with(
        syscall: libc::c_long,
        first_argument: libc::c_int,
        code: libc::c_int,
    ) -> Self {
        Self {
            first_argument: Some(first_argument),
            ..Self::all(syscall, code)
        }
    }
}

/// Where a filter finds the number of the call and the low half of its first argument (`seccomp(2)`).
const NUMBER: u32 = 0;
const FIRST_ARGUMENT: u32 = if cfg!(target_endian = "little") {
    16
} else {
    20
};

/// Refuses these to the calling thread, for ever; false, and a line that says so, where that cannot be had.
#[must_use]
pub(crate) fn refuse(calls: &[Refused]) -> bool {
    let mut program = Vec::new();
    for call in calls {
        let checks_argument = call.first_argument.is_some();
        program.push(load(NUMBER));
        // Over what follows, if it is another call.
        program.push(skip_unless(
            u32::try_from(call.syscall).expect("syscalls are counted from 0"),
            if checks_argument { 3 } else { 1 },
        ));
        if let Some(argument) = call.first_argument {
            program.push(load(FIRST_ARGUMENT));
            program.push(skip_unless(argument.cast_unsigned(), 1));
        }
        program.push(answer(libc::SECCOMP_RET_ERRNO | call.code.cast_unsigned()));
    }
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).expect("the program is short"),
        filter: program.as_mut_ptr(),
    };
    // SAFETY: takes integers alone.
    let no_new_rights = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: the filter and its program are in this frame; the kernel copies them.
    let filtered = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const filter,
        )
    };
    let done = (no_new_rights, filtered) == (0, 0);
    if !done {
        println!(
            "SKIPPED: this machine does not let a test filter syscalls: {}",
            std::io::Error::last_os_error()
        );
    }
    done
}

fn load(offset: u32) -> libc::sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, offset)
}

fn skip_unless(equal_to: u32, skip: u8) -> libc::sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, skip, equal_to)
}

fn answer(verdict: u32) -> libc::sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, 0, verdict)
}

fn instruction(code: u32, jump_if_false: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: u16::try_from(code).expect("codes are small"),
        jt: 0,
        jf: jump_if_false,
        k,
    }
}
