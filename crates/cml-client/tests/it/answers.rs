//! A server that says what it is told to: what no honest one can be made to do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Status, further headers, body. Of status 0: goes away without a word.
pub(crate) type Reply = (u16, &'static str, Vec<u8>);

/// Answers requests in its own way, and notes what was asked.
pub(crate) struct Liar {
    /// Its address.
    pub(crate) url: String,
    /// Method and path of each request, in order.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

impl Liar {
    /// Listens until the test ends; `reply` is given each method and path with the body.
    pub(crate) fn start(reply: impl Fn(&str, &[u8]) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let note = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A client that goes away in the middle is part of the game.
                let _ = answer(stream, &reply, &note);
            }
        });
        Self { url, asked }
    }

    /// Requests so far that begin so.
    pub(crate) fn count(&self, start: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|line| line.starts_with(start)).count()
    }
}

/// One request of one connection.
fn answer(
    mut stream: TcpStream,
    reply: &impl Fn(&str, &[u8]) -> Reply,
    note: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let asked = first.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let (mut length, mut continues) = (0, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        continues |= line == "expect: 100-continue";
    }
    if continues {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    note.lock().unwrap().push(asked.clone());
    let (status, headers, body) = reply(&asked, &body);
    if status == 0 {
        return Ok(());
    }
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    )?;
    stream.write_all(&body)
}
