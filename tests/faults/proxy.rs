//! A TCP proxy that breaks one chosen message.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is reset before the server sees the message.
    CutBefore,
    /// The server does as it is told, and its reply is lost with the connection.
    EatReply,
    /// The same, but the connection is closed in an orderly way, in one direction.
    HalfClose,
    /// The message and all after it go nowhere, and nobody is told.
    Freeze,
    /// The message comes late.
    Delay,
}

/// Passes connections on to a server, from a port of its own.
pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
    listener: JoinHandle<()>,
}

struct State {
    target: Mutex<String>,
    armed: Mutex<Option<(Fault, Vec<u8>)>>,
    healed: watch::Sender<()>,
}

impl Proxy {
    pub async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            target: Mutex::new(target),
            armed: Mutex::default(),
            healed: watch::Sender::new(()),
        });
        let shared = state.clone();
        let listener = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let target = shared.target.lock().unwrap().clone();
                // Without a server the client is hung up on, as a load balancer does.
                if let Ok(server) = TcpStream::connect(target).await {
                    tokio::spawn(pass(client, server, shared.clone()));
                }
            }
        });
        Self {
            port,
            state,
            listener,
        }
    }

    /// Lets the fault strike the next message from a client that contains these bytes, and the
    /// connection that it is on.
    pub fn arm(&self, fault: Fault, needle: &[u8]) {
        *self.state.armed.lock().unwrap() = Some((fault, needle.to_vec()));
    }

    /// Whether the fault has struck.
    pub fn has_struck(&self) -> bool {
        self.state.armed.lock().unwrap().is_none()
    }

    /// Sends new connections to another server.
    pub fn retarget(&self, target: String) {
        *self.state.target.lock().unwrap() = target;
    }

    /// Closes what is frozen.
    pub fn heal(&self) {
        self.state.healed.send_replace(());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl State {
    fn strikes(&self, message: &[u8]) -> Option<Fault> {
        let mut armed = self.armed.lock().unwrap();
        let (fault, needle) = armed.as_ref()?;
        let fault = *fault;
        let hit = message.windows(needle.len()).any(|part| part == needle);
        if hit {
            *armed = None;
        }
        hit.then_some(fault)
    }
}

/// Passes both directions until an end closes or a fault says otherwise.
async fn pass(mut client: TcpStream, mut server: TcpStream, state: Arc<State>) {
    let mut healed = state.healed.subscribe();
    let (mut request, mut reply) = (vec![0; 65_536], vec![0; 65_536]);
    let mut struck = None;
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let Ok(length @ 1..) = read else { return };
                let message = &request[..length];
                struck = struck.or_else(|| state.strikes(message));
                match struck {
                    Some(Fault::CutBefore) => {
                        // Without lingering, closing is a reset.
                        let _ = client.set_zero_linger();
                        return;
                    }
                    Some(Fault::Freeze) => {
                        let _ = healed.changed().await;
                        return;
                    }
                    Some(Fault::Delay) => late().await,
                    Some(Fault::EatReply | Fault::HalfClose) | None => {}
                }
                if server.write_all(message).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut reply) => {
                let Ok(length @ 1..) = read else { return };
                match struck {
                    Some(Fault::EatReply) => return,
                    Some(Fault::HalfClose) => {
                        let _ = client.shutdown().await;
                        // Until the client closes its direction too.
                        let _ = client.read(&mut request).await;
                        return;
                    }
                    _ => {}
                }
                if client.write_all(&reply[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "lateness is the fault, nothing waits for it"
)]
async fn late() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}
