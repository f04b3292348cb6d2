//! Bodies that a sender compresses after signing them.

use flate2::read::MultiGzDecoder;
use std::borrow::Cow;
use std::io::Read;

use crate::Rejection;

/// How large a body may be when it is unpacked: a few kilobytes of gzip can unpack to gigabytes.
const UNPACKED_BYTES_MAX: usize = 1024 * 1024;

/// The first bytes of gzip, which start no JSON. A proxy may unpack a body and keep its `Content-Encoding`, or the
/// other way around, so the header decides nothing.
const MAGIC: &[u8] = &[0x1f, 0x8b];

/// The body, unpacked if it is gzip.
///
/// # Errors
/// If it starts like gzip and cannot be unpacked, or is too large unpacked.
pub(crate) fn unpacked(body: &[u8]) -> Result<Cow<'_, [u8]>, Rejection> {
    if !body.starts_with(MAGIC) {
        return Ok(Cow::Borrowed(body));
    }
    let mut unpacked = Vec::new();
    let read = MultiGzDecoder::new(body).take(UNPACKED_BYTES_MAX as u64 + 1).read_to_end(&mut unpacked);
    match read {
        _ if unpacked.len() > UNPACKED_BYTES_MAX => {
            Err(Rejection::TooLarge { bytes_max: UNPACKED_BYTES_MAX })
        }
        Ok(_) => Ok(Cow::Owned(unpacked)),
        Err(_) => Err(Rejection::MalformedBody { body_bytes: body.len() }),
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    use super::*;

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_is_unpacked_and_any_other_body_stays_as_it_is() {
        assert_eq!(*unpacked(&gzip(b"{}")).unwrap(), *b"{}");
        for body in [&b"{}"[..], b"", b"\x1f", b"H4sI"] {
            assert!(matches!(unpacked(body), Ok(Cow::Borrowed(same)) if same == body));
        }
    }

    #[test]
    fn unpacking_ends_at_the_limit() {
        let largest = vec![b' '; UNPACKED_BYTES_MAX];
        assert_eq!(unpacked(&gzip(&largest)).unwrap().len(), UNPACKED_BYTES_MAX);
        let bomb = gzip(&vec![0; 64 << 20]);
        assert!(bomb.len() < 100_000);
        let too_large = Err(Rejection::TooLarge { bytes_max: UNPACKED_BYTES_MAX });
        assert_eq!(unpacked(&bomb), too_large);
        let two_members = [gzip(&largest), gzip(b" ")].concat();
        assert_eq!(unpacked(&two_members), too_large);
    }

    #[test]
    fn what_starts_like_gzip_and_is_not_is_malformed() {
        let body = gzip(b"{}");
        let [cut, with_more] = [body[..body.len() - 1].to_vec(), [&body[..], b" "].concat()];
        for body in [MAGIC.to_vec(), cut, with_more] {
            assert_eq!(unpacked(&body), Err(Rejection::MalformedBody { body_bytes: body.len() }));
        }
    }
}
