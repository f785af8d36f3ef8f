//! Counts round trips: how often the server has said that it is ready for more.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

pub struct Counter {
    pub port: u16,
    round_trips: Arc<AtomicUsize>,
}

impl Counter {
    /// Listens on a port of its own and passes on to the server.
    pub async fn before(server: String) -> Self {
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
                tokio::spawn(count(from_server, to_client, counted.clone()));
            }
        });
        Self { port, round_trips }
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

/// Passes on message by message: a type of one byte, a length that includes itself, and so much.
async fn count(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, round_trips: Arc<AtomicUsize>) {
    const READY_FOR_QUERY: u8 = b'Z';
    let mut head = [0; 5];
    while from.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) - 4;
        let mut body = vec![0; length.try_into().unwrap()];
        if from.read_exact(&mut body).await.is_err() {
            return;
        }
        if head[0] == READY_FOR_QUERY {
            round_trips.fetch_add(1, Ordering::SeqCst);
        }
        if to.write_all(&head).await.is_err() || to.write_all(&body).await.is_err() {
            return;
        }
    }
}
