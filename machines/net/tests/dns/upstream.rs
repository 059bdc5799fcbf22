//! A name server of the world outside: what it answers is decided by the first label of the name.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

use dhow_net::sandbox::Sandbox;
use domain::base::iana::{Class, Rcode};
use domain::base::{Message, MessageBuilder, Ttl};
use domain::rdata::A;

use crate::lab::within;

/// The names that it was asked for, and by whom.
pub(crate) type Asked = Arc<Mutex<Vec<(String, IpAddr)>>>;

/// Serves at port 53 of an address, for ever.
pub(crate) fn serve(sandbox: &Sandbox, address: &str) -> Asked {
    let asked = Asked::default();
    let address = SocketAddr::new(address.parse().unwrap(), 53);
    let (datagrams, streams) =
        within(sandbox, || (UdpSocket::bind(address).unwrap(), TcpListener::bind(address).unwrap()));
    let heard = Arc::clone(&asked);
    thread::spawn(move || {
        let mut packet = [0; 4096];
        while let Ok((length, peer)) = datagrams.recv_from(&mut packet) {
            for answer in answers(&packet[..length], peer, false, &heard) {
                let _ = datagrams.send_to(&answer, peer);
            }
        }
    });
    let heard = Arc::clone(&asked);
    thread::spawn(move || {
        while let Ok((stream, _)) = streams.accept() {
            let heard = Arc::clone(&heard);
            thread::spawn(move || converse(stream, &heard));
        }
    });
    asked
}

fn converse(mut stream: TcpStream, heard: &Asked) {
    let peer = stream.peer_addr().unwrap();
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut packet = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut packet).unwrap();
        for answer in answers(&packet, peer, true, heard) {
            let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
            stream.write_all(&[&length[..], &answer].concat()).unwrap();
        }
    }
}

fn answers(packet: &[u8], peer: SocketAddr, whole: bool, heard: &Asked) -> Vec<Vec<u8>> {
    let question = Message::from_octets(packet).unwrap();
    let name = question.sole_question().unwrap().qname().to_string();
    heard.lock().unwrap().push((name.clone(), peer.ip()));
    let right = |count, code| answer(&question, count, code, |_| ());
    match name.split('.').next().unwrap() {
        "silent" => Vec::new(),
        "missing" => vec![right(0, Rcode::NXDOMAIN)],
        "failing" => vec![right(0, Rcode::SERVFAIL)],
        "large" if !whole => vec![answer(&question, 1, Rcode::NOERROR, |cut| cut[2] |= 2)],
        "large" => vec![right(100, Rcode::NOERROR)],
        "forged" => vec![
            answer(&question, 9, Rcode::NOERROR, |bytes| bytes[0] ^= 0xff),
            answer(&question, 9, Rcode::NOERROR, |bytes| bytes[13] ^= 1),
            b"nonsense".to_vec(),
            right(1, Rcode::NOERROR),
        ],
        _ => vec![right(1, Rcode::NOERROR)],
    }
}

fn answer(question: &Message<&[u8]>, count: u8, code: Rcode, alter: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut answer = MessageBuilder::new_vec().start_answer(question, code).unwrap();
    let name = *question.sole_question().unwrap().qname();
    for number in 1..=count {
        answer.push((name, Class::IN, Ttl::from_secs(1), A::from_octets(203, 0, 113, number))).unwrap();
    }
    let mut bytes = answer.finish();
    alter(&mut bytes);
    bytes
}
