//! One connection to a broker: one question after the other, in versions that both sides speak. Made when it is needed.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, DescribeQuorumRequest, DescribeQuorumResponse,
    InitProducerIdRequest, InitProducerIdResponse, MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse,
    RequestHeader, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, StrBytes};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long it may take to connect and to learn what the broker speaks.
const CONNECT: Duration = Duration::from_secs(1);
/// Bytes of an answer: far above any that is asked for here.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// What is asked here, and what is answered to it.
pub(in super::super) trait ToBroker: Encodable + HeaderVersion {
    const KEY: i16;
    /// The newest version that is spoken here.
    const NEWEST: i16;
    type Answer: Decodable + HeaderVersion;
}

macro_rules! to_brokers {
    ($($question:ident $answer:ident $key:ident;)*) => {$(
        impl ToBroker for $question {
            const KEY: i16 = ApiKey::$key as i16;
            const NEWEST: i16 = <$question as Message>::VERSIONS.max;
            type Answer = $answer;
        }
    )*};
}

to_brokers! {
    ApiVersionsRequest ApiVersionsResponse ApiVersions;
    DescribeQuorumRequest DescribeQuorumResponse DescribeQuorum;
    InitProducerIdRequest InitProducerIdResponse InitProducerId;
    MetadataRequest MetadataResponse Metadata;
    ProduceRequest ProduceResponse Produce;
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(in super::super) enum AskError {
    /// The broker has not heard the question.
    #[error("{0}")]
    NotSent(String),
    /// It may have.
    #[error("{0}")]
    Unanswered(String),
}

/// See the module.
pub(in super::super) struct BrokerConnection {
    /// `host:port`.
    address: String,
    /// Taken while a question is under way: one that was given up leaves nothing behind that its answer could be taken for.
    live: Option<Live>,
}

struct Live {
    stream: TcpStream,
    versions: Vec<ApiVersion>,
    asked: i32,
}

impl BrokerConnection {
    pub(in super::super) fn to(address: String) -> Self {
        Self { address, live: None }
    }

    /// Asks in the newest of the `wanted` versions that the broker speaks.
    ///
    /// # Errors
    /// See [`AskError`].
    pub(in super::super) async fn ask<R: ToBroker>(
        &mut self,
        question: &R,
        wanted: RangeInclusive<i16>,
    ) -> Result<R::Answer, AskError> {
        let mut live = match self.live.take() {
            Some(live) => live,
            None => self.connect().await?,
        };
        let version = live.version(R::KEY, wanted).map_err(AskError::NotSent)?;
        let answer = live.ask(question, version).await?;
        self.live = Some(live);
        Ok(answer)
    }

    async fn connect(&self) -> Result<Live, AskError> {
        let connecting = async {
            let stream = TcpStream::connect(&self.address).await.map_err(|why| AskError::NotSent(why.to_string()))?;
            stream.set_nodelay(true).map_err(|why| AskError::NotSent(why.to_string()))?;
            let mut live = Live { stream, versions: Vec::new(), asked: 0 };
            let known: ApiVersionsResponse = live.ask(&ApiVersionsRequest::default(), 0).await?;
            live.versions = known.api_keys;
            Ok(live)
        };
        match tokio::time::timeout(CONNECT, connecting).await {
            Ok(Ok(live)) => Ok(live),
            Ok(Err(AskError::NotSent(why) | AskError::Unanswered(why))) => {
                Err(AskError::NotSent(format!("{}: {why}", self.address)))
            }
            Err(_) => Err(AskError::NotSent(format!("{}: no connection within {CONNECT:?}", self.address))),
        }
    }
}

impl Live {
    fn version(&self, key: i16, wanted: RangeInclusive<i16>) -> Result<i16, String> {
        let spoken = self.versions.iter().find(|spoken| spoken.api_key == key);
        let newest = spoken.map(|spoken| spoken.max_version.min(*wanted.end()));
        newest
            .filter(|newest| spoken.is_some_and(|spoken| *newest >= spoken.min_version.max(*wanted.start())))
            .ok_or_else(|| format!("the broker does not speak versions {wanted:?} of API {key}"))
    }

    async fn ask<R: ToBroker>(&mut self, question: &R, version: i16) -> Result<R::Answer, AskError> {
        self.asked = self.asked.wrapping_add(1);
        let frame = frame(question, version, self.asked).map_err(AskError::NotSent)?;
        let unanswered = |why: std::io::Error| AskError::Unanswered(why.to_string());
        self.stream.write_all(&frame).await.map_err(unanswered)?;
        let size = self.stream.read_u32().await.map_err(unanswered)? as usize;
        if size > ANSWER_BYTES {
            return Err(AskError::Unanswered(format!("an answer of {size} bytes")));
        }
        let mut answer = BytesMut::zeroed(size);
        self.stream.read_exact(&mut answer).await.map_err(unanswered)?;
        answer_of::<R>(&mut answer.freeze(), version, self.asked).map_err(AskError::Unanswered)
    }
}

/// A question as it goes out.
fn frame<R: ToBroker>(question: &R, version: i16, number: i32) -> Result<BytesMut, String> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(number)
        .with_client_id(Some(StrBytes::from_static_str("kervan")));
    let mut frame = BytesMut::zeroed(4);
    header.encode(&mut frame, R::header_version(version)).map_err(|why| why.to_string())?;
    question.encode(&mut frame, version).map_err(|why| why.to_string())?;
    let size = u32::try_from(frame.len() - 4).map_err(|why| why.to_string())?;
    frame[..4].copy_from_slice(&size.to_be_bytes());
    Ok(frame)
}

/// The answer to question `number`.
fn answer_of<R: ToBroker>(answer: &mut Bytes, version: i16, number: i32) -> Result<R::Answer, String> {
    let header = ResponseHeader::decode(answer, R::Answer::header_version(version)).map_err(|why| why.to_string())?;
    if header.correlation_id != number {
        return Err(format!("an answer to question {} and not to {number}", header.correlation_id));
    }
    R::Answer::decode(answer, version).map_err(|why| why.to_string())
}
