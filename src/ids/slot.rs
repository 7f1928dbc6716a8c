//! Hash slots, as Redis Cluster has them.

use uuid::Uuid;

/// Number of hash slots, as in Redis Cluster.
pub const SLOTS: u16 = 16_384;

/// A hash slot, `0..16384`: CRC16/XMODEM of a key or of its `{hash tag}`, modulo 16384 (Redis Cluster specification).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot(u16);

impl Slot {
    /// The slot of `key`. If the key has a non-empty `{…}` section, only what stands in the first one is hashed.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        Self(crc16_xmodem(hash_tag(key)) & (SLOTS - 1))
    }

    /// The slot of a uuid as text, in lower case with hyphens.
    #[must_use]
    pub(crate) fn of_uuid(uuid: Uuid) -> Self {
        let digits = uuid.as_bytes().iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let crc = UUID_CRC16.iter().zip(digits).fold(0, |crc, (of, digit)| crc ^ of[usize::from(digit)]);
        Self(crc & (SLOTS - 1))
    }

    /// The slot's number, `0..16384`.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|b| *b == b'{') else { return key };
    match key[open + 1..].iter().position(|b| *b == b'}') {
        Some(len) if len > 0 => &key[open + 1..open + 1 + len],
        _ => key,
    }
}

/// CRC16/XMODEM: polynomial 0x1021, initial value 0, not reflected. Check value of "123456789": 0x31C3.
fn crc16_xmodem(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| (crc << 8) ^ CRC16_TABLE[usize::from((crc >> 8) as u8 ^ byte)])
}

static CRC16_TABLE: [u16; 256] = crc16_table();

/// The CRC of a text is the XOR of what each character adds at its place: here for each digit of a uuid, with the hyphens at
/// the first one. A room's slot is wanted several times for each message.
static UUID_CRC16: [[u16; 16]; 32] = uuid_crc16();

const fn uuid_crc16() -> [[u16; 16]; 32] {
    const LENGTH: usize = uuid::fmt::Hyphenated::LENGTH;
    let (table, mut digits) = (crc16_table(), [[0u16; 16]; 32]);
    let (mut place, mut digit, mut hyphens) = (0, 0, 0);
    while place < LENGTH {
        let is_hyphen = matches!(place, 8 | 13 | 18 | 23);
        let mut n = 0;
        while n < 16 {
            let byte = if is_hyphen { b'-' } else { b"0123456789abcdef"[n] };
            let (mut crc, mut behind) = (table[byte as usize], LENGTH - 1 - place);
            while behind > 0 {
                crc = (crc << 8) ^ table[(crc >> 8) as usize];
                behind -= 1;
            }
            if is_hyphen {
                hyphens ^= crc;
                break;
            }
            digits[digit][n] = crc;
            n += 1;
        }
        digit += !is_hyphen as usize;
        place += 1;
    }
    let mut n = 0;
    while n < 16 {
        digits[0][n] ^= hyphens;
        n += 1;
    }
    digits
}

const fn crc16_table() -> [u16; 256] {
    let mut table = [0u16; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = (i as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis_cluster() {
        assert_eq!(crc16_xmodem(b"123456789"), 0x31C3);
        assert_eq!(Slot::of(b"123456789").get(), 12_739);
        // `CLUSTER KEYSLOT` of a Redis 7 server.
        assert_eq!(Slot::of(b"foo").get(), 12_182);
        assert_eq!(Slot::of(b"{user1000}.following"), Slot::of(b"{user1000}.followers"));
        assert_eq!(Slot::of(b"foo{}{bar}").get(), Slot(crc16_xmodem(b"foo{}{bar}") & 16_383).get());
        assert_eq!(Slot::of(b"foo{{bar}}zap"), Slot::of(b"{bar"));
    }

    #[test]
    fn the_slot_of_a_uuid_is_that_of_its_text() {
        let lone = (0..128).map(|bit| 1 << bit);
        let mixed = (0..1_000u128).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        for uuid in lone.chain(mixed).map(Uuid::from_u128) {
            assert_eq!(Slot::of_uuid(uuid), Slot::of(uuid.to_string().as_bytes()), "{uuid}");
        }
    }
}
