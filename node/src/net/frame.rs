//! Frames on a stream: a length of four bytes, little endian, and as many bytes.

use futures::{AsyncRead, AsyncReadExt};

use super::FrameRefusal;

/// One frame of at most `bytes_max` bytes, or nothing where the stream ends before it.
pub async fn read(stream: &mut (impl AsyncRead + Unpin), bytes_max: usize) -> Result<Option<Vec<u8>>, FrameRefusal> {
    let mut prefix = [0; PREFIX_BYTES];
    let mut filled = 0;
    while filled < PREFIX_BYTES {
        match stream.read(&mut prefix[filled..]).await {
            Ok(0) | Err(_) if filled == 0 => return Ok(None),
            Ok(0) | Err(_) => return Err(FrameRefusal::Malformed),
            Ok(read) => filled += read,
        }
    }
    let len = u32::from_le_bytes(prefix) as usize;
    if len > bytes_max {
        return Err(FrameRefusal::Oversized);
    }
    // Grows with what arrives: a length is only a claim.
    let mut bytes = Vec::with_capacity(len.min(BUFFER_BYTES_KEPT));
    let read = stream.take(len as u64).read_to_end(&mut bytes).await;
    if read.is_err() || bytes.len() < len {
        return Err(FrameRefusal::Malformed);
    }
    Ok(Some(bytes))
}

/// A frame's length, a `u32`.
pub(super) const PREFIX_BYTES: usize = 4;
/// What a write gathers, and the buffer kept between writes. A quarter of Yamux's first receive window.
pub(super) const BUFFER_BYTES_KEPT: usize = 64 * 1_024;

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::io::Cursor;

    use super::*;

    fn parse(bytes: &[u8]) -> Result<Option<Vec<u8>>, FrameRefusal> {
        block_on(read(&mut Cursor::new(bytes), 3))
    }

    #[test]
    fn a_frame_is_read_up_to_its_limit_and_no_further() {
        assert_eq!(parse(&[2, 0, 0, 0, 7, 8, 9]), Ok(Some(vec![7, 8])));
        assert_eq!(parse(&[3, 0, 0, 0, 7, 8, 9]), Ok(Some(vec![7, 8, 9])));
        assert_eq!(parse(&[0, 0, 0, 0]), Ok(Some(Vec::new())));
        assert_eq!(parse(&[4, 0, 0, 0, 1, 2, 3, 4]), Err(FrameRefusal::Oversized));
        assert_eq!(parse(&[255, 255, 255, 255]), Err(FrameRefusal::Oversized));
    }

    #[test]
    fn a_stream_may_end_between_frames_only() {
        assert_eq!(parse(&[]), Ok(None));
        assert_eq!(parse(&[1]), Err(FrameRefusal::Malformed));
        assert_eq!(parse(&[1, 0, 0, 0]), Err(FrameRefusal::Malformed));
        assert_eq!(parse(&[3, 0, 0, 0, 7, 8]), Err(FrameRefusal::Malformed));
    }
}
