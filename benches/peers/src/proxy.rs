//! Counts round trips: how often the server has said that it is ready for more. It can make them longer,
//! too, as a network does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};

pub struct Counter {
    pub port: u16,
    round_trips: Arc<AtomicUsize>,
}

impl Counter {
    /// Listens on a port of its own and passes on to the server, whose answers arrive so much later.
    pub async fn before(server: String, latency: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let round_trips = Arc::new(AtomicUsize::new(0));
        let counted = round_trips.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                refuse_tls(&mut client).await;
                let server = TcpStream::connect(&server).await.unwrap();
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(forward(from_client, to_server));
                let (arrive, arrived) = unbounded_channel();
                let leave = later(latency, move |message| arrive.send(message).is_ok());
                tokio::spawn(count(from_server, leave, counted.clone()));
                tokio::spawn(deliver(arrived, to_client));
            }
        });
        Self { port, round_trips }
    }

    /// One before the server of this URL, and the URL that leads through it.
    pub async fn of(url: &str, latency: Duration) -> (Self, String) {
        let (scheme, rest) = url.split_once('@').unwrap();
        let (address, path) = rest.split_once('/').unwrap();
        let counter = Self::before(address.to_owned(), latency).await;
        let url = format!("{scheme}@127.0.0.1:{}/{path}", counter.port);
        (counter, url)
    }

    pub fn so_far(&self) -> usize {
        self.round_trips.load(Ordering::SeqCst)
    }
}

/// Answers a client that asks for TLS first, as the server would: its answer is no message.
async fn refuse_tls(client: &mut TcpStream) {
    const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
    let mut head = [0; 8];
    while client
        .peek(&mut head)
        .await
        .is_ok_and(|length| (1..8).contains(&length))
    {}
    if head == SSL_REQUEST {
        client.read_exact(&mut head).await.unwrap();
        client.write_all(b"N").await.unwrap();
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let _ = tokio::io::copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}

/// Reads message by message: a type of one byte, a length that includes itself, and so much.
async fn count(
    mut from: OwnedReadHalf,
    leave: mpsc::Sender<(Instant, Vec<u8>)>,
    round_trips: Arc<AtomicUsize>,
) {
    const READY_FOR_QUERY: u8 = b'Z';
    let mut head = [0; 5];
    while from.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) - 4;
        let mut message = head.to_vec();
        message.resize(head.len() + usize::try_from(length).unwrap(), 0);
        if from.read_exact(&mut message[head.len()..]).await.is_err() {
            return;
        }
        if head[0] == READY_FOR_QUERY {
            round_trips.fetch_add(1, Ordering::SeqCst);
        }
        if leave.send((Instant::now(), message)).is_err() {
            return;
        }
    }
}

/// Lets each message arrive when its time has come, in a thread of its own: tokio's timers know
/// milliseconds only.
#[expect(clippy::disallowed_methods, reason = "a distance takes time")]
fn later(
    latency: Duration,
    arrive: impl Fn(Vec<u8>) -> bool + Send + 'static,
) -> mpsc::Sender<(Instant, Vec<u8>)> {
    let (leave, left) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        for (at, message) in left {
            thread::sleep(latency.saturating_sub(at.elapsed()));
            if !arrive(message) {
                return;
            }
        }
    });
    leave
}

async fn deliver(mut arrived: UnboundedReceiver<Vec<u8>>, mut to: OwnedWriteHalf) {
    while let Some(mut message) = arrived.recv().await {
        while let Ok(next) = arrived.try_recv() {
            message.extend(next);
        }
        if to.write_all(&message).await.is_err() {
            return;
        }
    }
}
