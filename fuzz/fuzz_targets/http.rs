//! Any bytes as the answers of a web server: statuses, headers, redirects and bodies, one answer a request.
#![no_main]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use cognate::checkpoint::{Limits, open_with};
use cognate::source::{Access, Network, Patience};
use cognate_fuzz::read;
use libfuzzer_sys::fuzz_target;

/// Answers of one input; each ends where this stands, which no header holds.
const BETWEEN: &[u8] = b"\0\0";
/// Most of them: a fuzzed redirect leads back to the server.
const MAX_ANSWERS: usize = 8;

struct Server {
    address: SocketAddr,
    answers: Mutex<Sender<Vec<Vec<u8>>>>,
}

/// One server for the whole process, told before each input what to answer.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (sender, receiver) = channel::<Vec<Vec<u8>>>();
        std::thread::spawn(move || {
            let mut answers = Vec::new().into_iter();
            for stream in listener.incoming().flatten() {
                // what was told last counts
                for told in receiver.try_iter() {
                    answers = told.into_iter();
                }
                // a client that hangs up is part of the game
                let _ = answer(stream, &answers.next().unwrap_or_default());
            }
        });
        Server { address, answers: Mutex::new(sender) }
    })
}

fn answer(mut stream: TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_millis(100)))?;
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let n = stream.read(&mut piece)?;
        if n == 0 {
            return Ok(());
        }
        request.extend_from_slice(&piece[..n]);
    }
    stream.write_all(bytes)
}

fuzz_target!(|data: &[u8]| {
    // a redirect must not lead to another host
    let leads_away = |window: &[u8]| window.eq_ignore_ascii_case(b"location");
    if data.windows(8).any(leads_away) && data.windows(2).any(|window| window == b"//") {
        return;
    }
    let mut answers = Vec::new();
    let mut rest = data;
    while let Some(at) = rest.windows(BETWEEN.len()).position(|bytes| bytes == BETWEEN) {
        answers.push(rest[..at].to_vec());
        rest = &rest[at + BETWEEN.len()..];
        if answers.len() == MAX_ANSWERS {
            break;
        }
    }
    answers.push(rest.to_vec());
    let server = server();
    let access = Access {
        network: Network::Allowed,
        endpoint: Some(format!("http://{}", server.address)),
        patience: Patience {
            connect: Duration::from_millis(200),
            silence: Duration::from_millis(200),
            first_wait: Duration::ZERO,
            longest_wait: Duration::ZERO,
            n_tries: 2,
            slowest: 1,
        },
        ..Access::default()
    };
    for reference in [format!("http://{}/model.safetensors", server.address), "hf://org/name".to_owned()] {
        server.answers.lock().expect("one thread").send(answers.clone()).expect("the server runs");
        match open_with(&reference, &Limits::default(), &access) {
            Ok(checkpoint) => read(&checkpoint),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
});
