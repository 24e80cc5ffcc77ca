//! One HTTP GET over any stream: enough for a REST snapshot, and strict about what it believes.
//!
//! The status is checked before the body is looked at, the head and the body have bounds, a body
//! that is shorter than announced is an error and not a short book, and both ways of announcing it
//! (`Content-Length`, chunks) are read. Deadlines are the caller's: whatever the stream's reads end
//! with ends the request.
//!
//! Knows nothing of addresses or connections.

use std::fmt;
use std::io::{self, Read, Write};

/// The longest head of an answer.
const HEAD_MAX: usize = 16 << 10;

/// The longest body. A snapshot of 5,000 levels a side is about 350 kB.
pub const BODY_MAX: usize = 16 << 20;

/// The most headers that an answer may have.
const HEADERS_MAX: usize = 64;

/// How much of the body of a refusal is shown.
const EXCERPT_MAX: usize = 200;

/// Why a request did not give a body.
#[derive(Debug)]
pub enum HttpError {
    /// The stream failed.
    Io(io::Error),
    /// The server answered, with another status than 200.
    Status {
        /// The status code.
        code: u16,
        /// How many seconds the server wants to be left alone.
        retry_after: Option<u64>,
        /// The beginning of what it said.
        excerpt: String,
    },
    /// The answer is no HTTP answer; the words say what is wrong.
    Garbled(&'static str),
    /// The head or the body is longer than a snapshot's can be.
    TooLong,
    /// The connection ended before the answer did.
    Short,
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
                f.write_str("the answer took too long")
            }
            Self::Io(error) => write!(f, "the request failed: {error}"),
            Self::Status { code, excerpt, .. } if excerpt.is_empty() => {
                write!(f, "the server answered with status {code}")
            }
            Self::Status { code, excerpt, .. } => {
                write!(f, "the server answered with status {code}: {excerpt}")
            }
            Self::Garbled(why) => write!(f, "the answer is not HTTP: {why}"),
            Self::TooLong => write!(f, "the answer is longer than {} MiB", BODY_MAX >> 20),
            Self::Short => f.write_str("the connection ended in the middle of the answer"),
        }
    }
}

impl std::error::Error for HttpError {}

impl From<io::Error> for HttpError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// Asks `host` for `target` (path and query) over a fresh connection, and returns the body.
///
/// # Errors
/// See [`HttpError`]. The connection is of no further use, whatever the outcome.
pub fn get(
    stream: &mut (impl Read + Write),
    host: &str,
    target: &str,
) -> Result<Vec<u8>, HttpError> {
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: flux-bot\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    stream.flush()?;

    let mut received = Vec::with_capacity(8 << 10);
    let (head_length, code, retry_after, framing) = loop {
        if let Some(head) = parse_head(&received)? {
            break head;
        }
        if received.len() >= HEAD_MAX {
            return Err(HttpError::TooLong);
        }
        if read_more(stream, &mut received)? == 0 {
            return Err(HttpError::Short);
        }
    };
    let mut body = received.split_off(head_length);
    if code != 200 {
        // What a refusal says is worth a look, but not worth failing for.
        if body.is_empty() {
            let _ = read_more(stream, &mut body);
        }
        let text = String::from_utf8_lossy(&body[..body.len().min(EXCERPT_MAX)]);
        let excerpt = text.chars().filter(|c| !c.is_control()).collect();
        return Err(HttpError::Status {
            code,
            retry_after,
            excerpt,
        });
    }
    match framing {
        Framing::Length(length) if length > BODY_MAX => Err(HttpError::TooLong),
        Framing::Length(length) => {
            while body.len() < length {
                if read_more(stream, &mut body)? == 0 {
                    return Err(HttpError::Short);
                }
            }
            body.truncate(length);
            Ok(body)
        }
        Framing::Chunked => read_chunks(stream, body),
        Framing::UntilClose => {
            while read_more(stream, &mut body)? > 0 {}
            Ok(body)
        }
    }
}

fn read_more(stream: &mut impl Read, into: &mut Vec<u8>) -> Result<usize, HttpError> {
    const STEP: usize = 8 << 10;
    if into.len() > BODY_MAX {
        return Err(HttpError::TooLong);
    }
    let length = into.len();
    into.resize(length + STEP, 0);
    let result = loop {
        match stream.read(&mut into[length..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result,
        }
    };
    into.truncate(length + result.as_ref().map_or(0, |&count| count));
    Ok(result?)
}

/// The length of the head, the status, the wish to be left alone, and the framing of the body.
type Head = (usize, u16, Option<u64>, Framing);

fn parse_head(bytes: &[u8]) -> Result<Option<Head>, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut answer = httparse::Response::new(&mut headers);
    let length = match answer.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(HttpError::TooLong),
        Err(httparse::Error::Version | httparse::Error::Status) => {
            return Err(HttpError::Garbled("the status line is wrong"));
        }
        Err(_) => return Err(HttpError::Garbled("the head has an impossible character")),
    };
    let code = answer.code.ok_or(HttpError::Garbled("it has no status"))?;
    let (mut framing, mut retry_after) = (Framing::UntilClose, None);
    for header in answer.headers.iter() {
        let value = std::str::from_utf8(header.value).unwrap_or("").trim();
        if header.name.eq_ignore_ascii_case("content-length") {
            let length = value
                .parse()
                .map_err(|_| HttpError::Garbled("its length is no number"))?;
            if framing != Framing::Chunked {
                framing = Framing::Length(length);
            }
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") {
                return Err(HttpError::Garbled("its transfer encoding is not known"));
            }
            framing = Framing::Chunked;
        } else if header.name.eq_ignore_ascii_case("retry-after") {
            retry_after = value.parse().ok();
        }
    }
    Ok(Some((length, code, retry_after, framing)))
}

/// Reads a chunked body; `raw` holds what has arrived of it already.
fn read_chunks(stream: &mut impl Read, mut raw: Vec<u8>) -> Result<Vec<u8>, HttpError> {
    const WRONG: HttpError = HttpError::Garbled("a chunk of the body is wrong");
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let (skip, size) = loop {
            match httparse::parse_chunk_size(&raw[at..]) {
                Ok(httparse::Status::Complete(found)) => break found,
                Ok(httparse::Status::Partial) => {
                    if read_more(stream, &mut raw)? == 0 {
                        return Err(HttpError::Short);
                    }
                }
                Err(_) => return Err(WRONG),
            }
        };
        let size = usize::try_from(size)
            .ok()
            .filter(|size| body.len() + size <= BODY_MAX)
            .ok_or(HttpError::TooLong)?;
        if size == 0 {
            return Ok(body); // trailers say nothing that is wanted here
        }
        let (start, end) = (at + skip, at + skip + size);
        while raw.len() < end + 2 {
            if read_more(stream, &mut raw)? == 0 {
                return Err(HttpError::Short);
            }
        }
        if &raw[end..end + 2] != b"\r\n" {
            return Err(WRONG);
        }
        body.extend_from_slice(&raw[start..end]);
        at = end + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers with fixed bytes, a few at a time, and takes note of the request.
    struct Scripted<'a> {
        answer: &'a [u8],
        step: usize,
        request: Vec<u8>,
    }

    impl Read for Scripted<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = self.step.min(into.len()).min(self.answer.len());
            let (now, later) = self.answer.split_at(count);
            into[..count].copy_from_slice(now);
            self.answer = later;
            Ok(count)
        }
    }

    impl Write for Scripted<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.request.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn ask(answer: &str) -> Result<String, HttpError> {
        let whole = ask_in_steps(answer, usize::MAX);
        let bitwise = ask_in_steps(answer, 1);
        assert_eq!(format!("{whole:?}"), format!("{bitwise:?}"), "{answer}");
        whole
    }

    fn ask_in_steps(answer: &str, step: usize) -> Result<String, HttpError> {
        let mut stream = Scripted {
            answer: answer.as_bytes(),
            step,
            request: Vec::new(),
        };
        let result = get(&mut stream, "localhost:1", "/depth?symbol=X");
        assert!(
            stream
                .request
                .starts_with(b"GET /depth?symbol=X HTTP/1.1\r\nHost: localhost:1\r\n")
        );
        result.map(|body| String::from_utf8(body).expect("text"))
    }

    #[test]
    fn bodies_are_read_by_length_by_chunks_and_until_the_end() {
        let length = ask("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
        let chunks = ask(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
        );
        let end = ask("HTTP/1.0 200 OK\r\n\r\nhello");
        for result in [length, chunks, end] {
            assert_eq!(result.expect("a body"), "hello");
        }
    }

    #[test]
    fn answers_that_break_off_are_refused() {
        for answer in [
            "",
            "HTTP/1.1 200",
            "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhel",
        ] {
            assert!(matches!(ask(answer), Err(HttpError::Short)), "{answer}");
        }
    }

    #[test]
    fn garbled_and_oversized_answers_are_refused() {
        for answer in [
            "HTP/1.1 2OO fine\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        ] {
            assert!(
                matches!(ask(answer), Err(HttpError::Garbled(_))),
                "{answer}"
            );
        }
        let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(HEAD_MAX));
        assert!(matches!(ask(&long), Err(HttpError::TooLong)));
        assert!(matches!(
            ask("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"),
            Err(HttpError::TooLong)
        ));
    }

    #[test]
    fn refusals_say_what_the_server_said() {
        let error = ask_in_steps(
            "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 9\r\n\r\n{\"code\":1",
            4096,
        )
        .expect_err("429");
        assert_eq!(
            error.to_string(),
            "the server answered with status 429: {\"code\":1"
        );
        assert!(matches!(
            error,
            HttpError::Status {
                code: 429,
                retry_after: Some(7),
                ..
            }
        ));
    }
}
