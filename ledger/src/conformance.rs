//! The encodings and ids that other programs rely on, as literals. Changing one is a new protocol: a reviewed act.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write;

use synod_machine::{Bytes, Time, Wire, WireError, wire};

use crate::{
    Amount, Block, BlockId, Certificate, ChainId, Coin, Coinbase, CompactTarget, Evidence, Header, Height, Loss,
    OutPoint, Output, Payment, PublicKey, Seal, SecretKey, Signature, Tx, TxId, TxInput, Undo, commit_digest, testing,
};

const CHAIN: ChainId = ChainId(Bytes(*b"goldenid"));

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a text grows");
        text
    })
}

fn output(amount: u64) -> Output {
    Output::plain(Amount(amount), SecretKey::from_bytes([2; 32]).address())
}

fn payment() -> Tx {
    let secret = SecretKey::from_bytes([1; 32]);
    let coin = OutPoint { tx: TxId(Bytes([3; 32])), index: 300 };
    let input = TxInput { coin, key: secret.public(), ..TxInput::default() };
    let mut payment = Payment { chain: CHAIN, inputs: vec![input], outputs: vec![output(5), output(Amount::COIN)] };
    payment.inputs[0].signature = secret.sign(payment.digest().0.as_slice());
    Tx::from(payment)
}

fn coinbase() -> Coinbase {
    Coinbase { chain: CHAIN, height: Height(7), extra: 9, outputs: vec![output(50)] }
}

fn header(seal: Seal) -> Header {
    let (parent, root) = (BlockId(Bytes([4; 32])), Block::root_of(&coinbase(), &[payment()]));
    Header { chain: CHAIN, parent, height: Height(7), time: Time::from_secs(3), root, seal }
}

fn block() -> Block {
    let seal = Seal::Work { target: CompactTarget(0x1d00_ffff), nonce: 0x0102_0304_0506_0708 };
    Block::new(header(seal), coinbase(), vec![payment()])
}

fn undo() -> Undo {
    let coin = Coin { output: output(6), height: Height(2), coinbase: true };
    Undo { spent: vec![(OutPoint { tx: TxId(Bytes([3; 32])), index: 1 }, coin)], ..Undo::default() }
}

/// A value comes back from its one encoding, and from no other bytes.
fn round_trip<T: Wire + PartialEq>(value: &T) {
    let bytes = wire::encode(value);
    assert_eq!(value.encoded_len(), bytes.len());
    assert_eq!(wire::decode::<T>(&bytes).as_ref(), Ok(value));
    for end in 0..bytes.len() {
        assert_eq!(wire::decode::<T>(&bytes[..end]).err(), Some(WireError::Malformed), "cut at {end}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert_eq!(wire::decode::<T>(&longer).err(), Some(WireError::Malformed));
    let oversized = vec![0; T::BYTES_MAX + 1];
    let error = WireError::Oversized { expected: T::BYTES_MAX, got: T::BYTES_MAX + 1 };
    assert_eq!(wire::decode::<T>(&oversized).err(), Some(error));
}

#[test]
fn a_payment_is_these_bytes() {
    let tx = payment();
    round_trip(&tx);
    assert_eq!(tx.kind(), "tx");
    assert_eq!(hex(&wire::encode(&tx)), GOLDEN_PAYMENT);
    assert_eq!(tx.id().to_string(), GOLDEN_PAYMENT_ID);
    assert_eq!(tx.leaf().to_string(), GOLDEN_PAYMENT_LEAF);
}

#[test]
fn a_coinbase_is_these_bytes() {
    let coinbase = coinbase();
    assert_eq!(hex(&wire::encode(&coinbase)), GOLDEN_COINBASE);
    assert_eq!(coinbase.id().to_string(), GOLDEN_COINBASE_ID);
    assert_eq!(coinbase.leaf().to_string(), GOLDEN_COINBASE_LEAF);
}

#[test]
fn a_header_is_these_bytes_and_hashes_these_80() {
    let header = block().header().clone();
    assert_eq!(hex(&wire::encode(&header)), GOLDEN_HEADER);
    assert_eq!(hex(&header.preimage()), GOLDEN_PREIMAGE);
    assert_eq!(header.id().to_string(), GOLDEN_BLOCK_ID);
}

#[test]
fn each_seal_is_these_bytes_and_gives_another_id() {
    let target = CompactTarget(0x1d00_ffff);
    let (key, signature) = (PublicKey(Bytes([5; 32])), Signature(Bytes([6; 64])));
    let certificate = Certificate::new(3, vec![(1, signature)]);
    let seals = [
        Seal::Genesis,
        Seal::Work { target, nonce: 0 },
        Seal::Declared { target, draw: 0 },
        Seal::Stake { key, difficulty: 9, signature },
        Seal::Agreed { certificate },
    ];
    let encodings: Vec<String> = seals.iter().map(|seal| hex(&wire::encode(seal))).collect();
    let (fives, sixes) = ("05".repeat(32), "06".repeat(64));
    let stake = alloc::format!("0320{fives}0940{sixes}");
    let agreed = alloc::format!("0403010140{sixes}");
    assert_eq!(encodings, ["00", "01fcffff001d00", "02fcffff001d00", &stake, &agreed]);
    let mut ids: Vec<BlockId> = seals.iter().map(|seal| header(seal.clone()).id()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 5);
}

#[test]
fn votes_are_not_in_a_block_s_id_and_a_stake_s_signature_is() {
    let signature = Signature(Bytes([6; 64]));
    let agreed = |certificate| header(Seal::Agreed { certificate });
    assert_eq!(agreed(Certificate::none()).id(), agreed(Certificate::new(3, vec![(1, signature)])).id());
    let key = SecretKey::from_bytes([1; 32]).public();
    let stake = |difficulty, signature| header(Seal::Stake { key, difficulty, signature });
    let unsigned = stake(9, Signature::NONE);
    assert_ne!(unsigned.id(), stake(9, signature).id());
    assert_eq!(unsigned.stake_digest(), stake(9, signature).stake_digest());
    assert_ne!(unsigned.stake_digest(), stake(8, signature).stake_digest());
    assert_eq!(unsigned.stake_digest().map(|digest| digest.to_string()).as_deref(), Some(GOLDEN_STAKE_DIGEST));
    assert_eq!(agreed(Certificate::none()).stake_digest(), None);
    let signed = unsigned.clone().signed(&SecretKey::from_bytes([1; 32]));
    assert!(signed.is_signed());
    assert!(!unsigned.is_signed());
    assert!(!agreed(Certificate::none()).is_signed());
}

#[test]
fn stakes_and_evidence_are_these_bytes() {
    let to = SecretKey::from_bytes([2; 32]).address();
    let outputs = [Output::plain(Amount(5), to), Output::stake(Amount(5), to), Output::unbonding(Amount(5), to)];
    let bytes = outputs.map(|output| hex(&wire::encode(&output)));
    let body = "051467a96b9b81529d8a2b7640b0d5c24b5aba666796";
    assert_eq!(bytes, ["00", "01", "02"].map(|kind| [body, kind].concat()));
    let secret = SecretKey::from_bytes([1; 32]);
    let seal = |difficulty| Seal::Stake { key: secret.public(), difficulty, signature: Signature::NONE };
    let evidence = Evidence::new(header(seal(1)).signed(&secret), header(seal(2)).signed(&secret));
    assert_eq!(evidence.check(CHAIN), Ok(secret.public()));
    assert_eq!(evidence.leaf().to_string(), GOLDEN_EVIDENCE_LEAF);
    let block = Block::with_evidence(block().header().clone(), coinbase(), vec![payment()], vec![evidence]);
    round_trip(&block);
    let loss = Loss { owner: to, amount: Amount(300), coins: 2 };
    let undo = Undo { spent: vec![], losses: vec![loss], forgotten: vec![(to, Amount(7))] };
    round_trip(&undo);
    let address = "1467a96b9b81529d8a2b7640b0d5c24b5aba666796";
    assert_eq!(hex(&wire::encode(&undo)), alloc::format!("0001{address}fb2c010201{address}07"));
    let digest = testing::stake_genesis().digest();
    assert_eq!(digest.to_string(), GOLDEN_STAKE_GENESIS);
}

#[test]
fn votes_are_in_a_fingerprint_and_take_no_room_of_the_payments() {
    let with = |certificate| Block::new(header(Seal::Agreed { certificate }), coinbase(), vec![payment()]);
    let (proposed, agreed) =
        (with(Certificate::none()), with(Certificate::new(3, vec![(1, Signature(Bytes([6; 64])))])));
    assert_eq!(proposed.id(), agreed.id());
    assert_ne!(proposed.fingerprint(), agreed.fingerprint());
    assert_eq!(proposed.len_without_votes(), agreed.len_without_votes());
    assert_eq!(proposed.len(), proposed.len_without_votes() + 2);
    assert_eq!(agreed.len(), proposed.len() + 66);
    assert_eq!(block().len(), block().len_without_votes());
}

#[test]
fn a_vote_signs_these_bytes() {
    assert_eq!(commit_digest(CHAIN, 3, Height(7), BlockId(Bytes([4; 32]))).to_string(), GOLDEN_COMMIT);
}

#[test]
fn only_the_last_eight_bytes_of_a_preimage_depend_on_the_nonce() {
    let target = CompactTarget(0x1d00_ffff);
    let [one, two] = [1, 0x0200_0000_0000_0000].map(|nonce| header(Seal::Work { target, nonce }).preimage());
    assert_eq!(one[..72], two[..72]);
    assert_eq!(one[72..], [1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(two[72..], [0, 0, 0, 0, 0, 0, 0, 2]);
}

#[test]
fn every_field_of_a_header_is_in_its_id() {
    let changes: [fn(&mut Header); 8] = [
        |_| {},
        |header| header.chain.0.0[7] ^= 1,
        |header| header.parent.0.0[31] ^= 1,
        |header| header.height.0 += 1,
        |header| header.time.0 += 1,
        |header| header.root.0[31] ^= 1,
        |header| header.seal = Seal::Work { target: CompactTarget(1), nonce: 0x0102_0304_0506_0708 },
        |header| header.seal = Seal::Work { target: CompactTarget(0x1d00_ffff), nonce: 1 },
    ];
    let id_after = |change: &fn(&mut Header)| {
        let mut header = block().header().clone();
        change(&mut header);
        header.id()
    };
    let mut ids: Vec<BlockId> = changes.iter().map(id_after).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 8);
}

#[test]
fn a_block_is_these_bytes() {
    let block = block();
    round_trip(&block);
    assert_eq!(block.kind(), "block");
    let expected = [GOLDEN_HEADER, GOLDEN_COINBASE, "01", GOLDEN_PAYMENT, "00"].concat();
    assert_eq!(hex(&wire::encode(&block)), expected);
    assert_eq!(block.id().to_string(), GOLDEN_BLOCK_ID);
    assert_eq!(block.merkle_root().to_string(), GOLDEN_ROOT);
}

#[test]
fn undo_data_is_these_bytes() {
    round_trip(&undo());
    assert_eq!(undo().kind(), "undo");
    assert_eq!(hex(&wire::encode(&undo())), GOLDEN_UNDO);
}

#[test]
fn an_address_and_a_genesis_are_these() {
    assert_eq!(SecretKey::from_bytes([1; 32]).address().to_string(), GOLDEN_ADDRESS);
    assert_eq!(testing::genesis().digest().to_string(), GOLDEN_GENESIS);
    assert_eq!(testing::genesis().chain_id().to_string(), GOLDEN_GENESIS[..16]);
    assert_eq!(testing::genesis().block().id().to_string(), GOLDEN_GENESIS_BLOCK);
}

#[test]
fn payments_with_one_id_can_differ_in_their_signatures_and_then_their_leaves_do() {
    let one = payment();
    let mut other = (*one).clone();
    other.inputs[0].signature.0.0[0] ^= 1;
    let other = Tx::from(other);
    assert_eq!(one.id(), other.id());
    assert_ne!(one.leaf(), other.leaf());
    assert_ne!(one.fingerprint(), other.fingerprint());
    assert_ne!(one, other);
}

#[test]
fn blocks_with_one_id_have_other_fingerprints_where_anything_in_them_differs() {
    let good = block();
    let mut resigned = (*payment()).clone();
    resigned.inputs[0].signature.0.0[0] ^= 1;
    let extra = Coinbase { extra: 10, ..coinbase() };
    let with = |coinbase, payments| Block::new(good.header().clone(), coinbase, payments);
    let blocks = [
        with(coinbase(), vec![payment()]),
        with(coinbase(), vec![Tx::from(resigned)]),
        with(coinbase(), vec![]),
        with(coinbase(), vec![payment(), payment()]),
        with(extra, vec![payment()]),
        Block::new(header(Seal::Genesis), coinbase(), vec![payment()]),
    ];
    assert_eq!(blocks[0].fingerprint(), good.fingerprint());
    assert!(blocks[..5].iter().all(|block| block.id() == good.id()));
    let mut fingerprints: Vec<Bytes<32>> = blocks.iter().map(Block::fingerprint).collect();
    fingerprints.sort_unstable();
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), 6);
}

#[test]
fn people_read_a_block_as_json() {
    let text = serde_json::to_string(&block()).expect("writable");
    assert!(text.contains(&alloc::format!(r#""to":"{}""#, output(1).to)), "{text}");
    assert_eq!(serde_json::from_str::<Block>(&text).expect("readable"), block());
}

const GOLDEN_PAYMENT: &str = "\
    08676f6c64656e696401200303030303030303030303030303030303030303030303030303030303030303fb2c01208a88e3\
    dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c40e8fff482482407385115fafbddfa5619d26b5aa0\
    7e2945e74ce8d34b8d5b845c57eb5d98b4b7010a0a90db17c2180ecc2e36423774b5302b3045a3a73077ca0f02051467a96b\
    9b81529d8a2b7640b0d5c24b5aba66679600fc00e1f5051467a96b9b81529d8a2b7640b0d5c24b5aba66679600";
const GOLDEN_PAYMENT_ID: &str = "bfaf1b02def17bac75f64f7a47731ea062dde1dda44db72e46be7a75d335b232";
const GOLDEN_PAYMENT_LEAF: &str = "31e53c1106e04726864a1276b70b9b81a6439ef55ca1883872d08dfeb57d096d";
const GOLDEN_COINBASE: &str = "08676f6c64656e6964070901321467a96b9b81529d8a2b7640b0d5c24b5aba66679600";
const GOLDEN_COINBASE_ID: &str = "857ee85534089a7eef4ba44230dd196921b5127e1aedd0f63f3b7e59a9eb7c9a";
const GOLDEN_COINBASE_LEAF: &str = "bbc56a2a17470b6dc1505b4339b219056edba5afc73dc6314b21a9c69b87a51a";
const GOLDEN_HEADER: &str = "\
    08676f6c64656e696420040404040404040404040404040404040404040404040404040404040404040407fc005ed0b220b5\
    ecb66f880d3b5c0bd8278fffdc6a3c83083ef2621bdadf94e95eb8a003c01401fcffff001dfd0807060504030201";
const GOLDEN_PREIMAGE: &str = "\
    378803a9d9faeaac78eba707c33cec05306f17208e91462294132618f85680ad040404040404040404040404040404040404\
    0404040404040404040404040404676f6c64656e69640807060504030201";
const GOLDEN_BLOCK_ID: &str = "ee0b495f9994423319de0f9687629a393c6ef631889204375c456a4aefb720a8";
const GOLDEN_ROOT: &str = "b5ecb66f880d3b5c0bd8278fffdc6a3c83083ef2621bdadf94e95eb8a003c014";
const GOLDEN_UNDO: &str = "\
    0120030303030303030303030303030303030303030303030303030303030303030301061467a96b9b81529d8a2b7640b0d5\
    c24b5aba6667960002010000";
const GOLDEN_ADDRESS: &str = "syn1dfrhrjt0q9cmtqjl6r9k5r7fv0w65g7j2fvusm";
const GOLDEN_STAKE_DIGEST: &str = "d671e70689138c5a7f90f01b0370a7fa6ca7c8b0c2cc73c8ec392a6b3eaaca48";
const GOLDEN_EVIDENCE_LEAF: &str = "24b862cb7f5c6f2ce9c23461af24e019c66721e47b9c6779021fdf60ee1669c8";
const GOLDEN_STAKE_GENESIS: &str = "bb7ead743308e7ac321821a3ac6fd110112973e1e039af71966207a247265e3a";
const GOLDEN_COMMIT: &str = "adb364c4a4e1b9dcd88947f3640e2688335ce4976e70ee9fb37d9b9a93d7be2f";
const GOLDEN_GENESIS: &str = "f8dadcfdb6c7267742127ce9c21b5fcecd76e6f7ff42cb6db6090cbbbeae49d5";
const GOLDEN_GENESIS_BLOCK: &str = "9ea1805aa00311aa565bdb3ea218c38f8dc0a156dc28d056c3c059a41a72823c";
