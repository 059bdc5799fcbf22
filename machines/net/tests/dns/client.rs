//! A program in a container that asks.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::time::Duration;

use dhow_net::sandbox::Sandbox;
use domain::base::iana::{Class, Rcode};
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::{Aaaa, Ptr};

use crate::lab::within;

const PATIENCE: Duration = Duration::from_secs(15);
const SERVER: &str = "127.0.0.11:53";

/// What it was told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) code: Rcode,
    pub(crate) cut: bool,
    /// In order.
    pub(crate) records: Vec<String>,
    pub(crate) bytes: usize,
}

impl Told {
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        let mut all: Vec<IpAddr> = self.records.iter().map(|text| text.parse().unwrap()).collect();
        all.sort();
        all
    }
}

/// Asks by a datagram.
pub(crate) fn ask(sandbox: &Sandbox, name: &str, kind: Rtype) -> Told {
    exchange(sandbox, &question(name, kind, None)).unwrap()
}

/// The same, by one who takes answers of this size.
pub(crate) fn ask_for(sandbox: &Sandbox, name: &str, kind: Rtype, size: u16) -> Told {
    exchange(sandbox, &question(name, kind, Some(size))).unwrap()
}

/// Asks by a stream.
pub(crate) fn ask_by_stream(sandbox: &Sandbox, name: &str, kind: Rtype) -> Told {
    within(sandbox, || {
        let mut stream = TcpStream::connect(SERVER).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let question = question(name, kind, None);
        let length = u16::try_from(question.len()).unwrap().to_be_bytes();
        // In pieces, as the network may deliver it.
        stream.write_all(&length[..1]).unwrap();
        stream.write_all(&[&length[1..], &question].concat()).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut answer).unwrap();
        read(&question, &answer)
    })
}

/// Sends any bytes, and reads the answer.
pub(crate) fn exchange(sandbox: &Sandbox, packet: &[u8]) -> io::Result<Told> {
    within(sandbox, || {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(SERVER)?;
        socket.send(packet)?;
        let mut answer = [0; 65_535];
        let length = socket.recv(&mut answer)?;
        Ok(read(packet, &answer[..length]))
    })
}

pub(crate) fn question(name: &str, kind: Rtype, size: Option<u16>) -> Vec<u8> {
    let mut question = MessageBuilder::new_vec().question();
    question.header_mut().set_rd(true);
    question.header_mut().set_id(rand::random());
    question.push((Name::<Vec<u8>>::from_chars(name.chars()).unwrap(), kind, Class::IN)).unwrap();
    let mut rest = question.additional();
    if let Some(size) = size {
        rest.opt(|opt| {
            opt.set_udp_payload_size(size);
            Ok(())
        })
        .unwrap();
    }
    rest.finish()
}

fn read(question: &[u8], answer: &[u8]) -> Told {
    let message = Message::from_octets(answer).unwrap();
    let header = message.header();
    assert_eq!(answer[..2], question[..2], "the answer is to another question");
    assert!(header.qr());
    let mut records = Vec::new();
    for record in message.answer().unwrap().into_records::<domain::rdata::AllRecordData<_, _>>() {
        use domain::rdata::AllRecordData as Data;
        records.push(match record.unwrap().into_data() {
            Data::A(data) => data.addr().to_string(),
            Data::Aaaa(data) => Aaaa::addr(&data).to_string(),
            Data::Ptr(data) => Ptr::ptrdname(&data).to_string(),
            other => format!("{other:?}"),
        });
    }
    Told { code: header.rcode(), cut: header.tc(), records, bytes: answer.len() }
}
