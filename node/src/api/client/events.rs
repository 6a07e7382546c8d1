//! Server-sent events as they come in: lines to events.

use reqwest::Response;

use super::{ClientError, unanswered};
use crate::api::types::ApiEvent;

/// The events of one node, as they happen.
#[derive(Debug)]
pub struct Events {
    url: String,
    response: Response,
    buffer: Vec<u8>,
    /// The `data` lines of the event whose end has not come yet.
    data: String,
}

impl Events {
    pub(super) const fn new(url: String, response: Response) -> Self {
        Self { url, response, buffer: Vec::new(), data: String::new() }
    }

    /// The next event. `Ok(None)`: the node ended the stream, as it does when it stops.
    pub async fn next(&mut self) -> Result<Option<ApiEvent>, ClientError> {
        loop {
            while let Some(line) = self.take_line() {
                if let Some(event) = self.on_line(&line)? {
                    return Ok(Some(event));
                }
            }
            let Some(bytes) = self.response.chunk().await.map_err(|error| unanswered(self.url.clone(), &error))? else {
                return Ok(None);
            };
            if self.buffer.len() + self.data.len() + bytes.len() > EVENT_BYTES_MAX {
                return Err(self.protocol("an event without end"));
            }
            self.buffer.extend_from_slice(&bytes);
        }
    }

    fn take_line(&mut self) -> Option<String> {
        let end = self.buffer.iter().position(|&byte| byte == b'\n')?;
        let line: Vec<u8> = self.buffer.drain(..=end).collect();
        Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    }

    /// An empty line ends an event. Comments (keep-alives) and the fields that the data repeats are passed over.
    fn on_line(&mut self, line: &str) -> Result<Option<ApiEvent>, ClientError> {
        if let Some(data) = line.strip_prefix("data:") {
            self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
            return Ok(None);
        }
        if !line.is_empty() || self.data.is_empty() {
            return Ok(None);
        }
        let data = std::mem::take(&mut self.data);
        serde_json::from_str(&data).map(Some).map_err(|error| self.protocol(&error.to_string()))
    }

    fn protocol(&self, reason: &str) -> ClientError {
        ClientError::Protocol { url: self.url.clone(), reason: reason.to_owned() }
    }
}

/// Far more than any event takes.
const EVENT_BYTES_MAX: usize = 1 << 20;
