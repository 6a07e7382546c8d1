//! The network that is attacked: its peers, who is paid, and who pays twice.

mod checks;

use std::collections::BTreeSet;
use std::fs::File;
use std::time::{Duration, Instant};

use futures::future::join_all;
use synod_ledger::{
    Address, Amount, BlockId, Coin, Genesis, OutPoint, Output, PaymentBuilder, SecretKey, Tx, TxId, U256,
};
use synod_node::api::client::{Client, ClientError};
use synod_node::api::types::{AddressQuery, ChainQuery, Faults, MempoolQuery, StakeInfo, Status, TransactionStatus};
use synod_node::config::load_genesis;

use super::report::{Evidence, Fate, Standing};
use crate::LabError;
use crate::load::{Payer, is_usable};
use crate::network::{Network, PeerState};
use crate::settings::{Settings, peer_name};

/// How often a state is looked at.
pub(super) const POLL: Duration = Duration::from_millis(50);
/// Coins of a wallet that are looked at.
const COINS_MAX: u32 = 10_000;
/// Held by an attack.
const LOCK: &str = "attack.lock";
/// How long an attacker's node may take to join.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How long turned peers may take to start again.
const RESTART_MAX: Duration = Duration::from_secs(60);
/// Double spends that a peer is asked for.
const CONFLICTS_MAX: u32 = 10_000;
/// As deep as branches are compared.
const APART_MAX: u32 = 200;
/// What the merchant is paid in an attack, in units.
pub(super) const PRICE: Amount = Amount(Amount::COIN);

/// Who is who.
#[derive(Clone, Debug)]
pub struct Roles {
    /// The attacker's key, whose coins it spends twice.
    pub attacker: SecretKey,
    /// The attacker's wallet, as messages call it.
    pub wallet: String,
    /// Whom it pays.
    pub merchant: Address,
    /// The merchant's peer.
    pub peer: Option<String>,
}

/// A network that may be attacked.
pub struct Arena {
    /// Its peers.
    pub network: Network,
    /// Those that keep blocks and are not the attacker's, all of them running.
    pub full: Vec<usize>,
    /// The merchant's peer.
    pub at: usize,
    /// Those whose miners rest.
    resting: BTreeSet<usize>,
    roles: Roles,
    genesis: Genesis,
    /// Coins that were spent twice already.
    used: BTreeSet<OutPoint>,
}

/// Two payments that spend one coin.
#[derive(Clone, Debug)]
pub struct Pair {
    /// To the merchant.
    pub payment: Tx,
    /// Back to the attacker.
    pub rival: Tx,
}

impl Arena {
    /// The network, if it may be attacked: all its peers run, on loopback.
    pub async fn enter(network: Network, roles: Roles) -> Result<Self, LabError> {
        let genesis = load_genesis(&network.genesis_path())?;
        let full: Vec<usize> = (0..network.manifest().settings.full_count()).collect();
        let resting = BTreeSet::new();
        let mut arena = Self { at: 0, full, resting, roles, genesis, used: BTreeSet::new(), network };
        arena.check_loopback()?;
        if arena.full.len() < 2 {
            return Err(LabError::TooFewPeers { wanted: 2, running: arena.full.len() });
        }
        for place in arena.full.clone() {
            let peer = arena.name(place).to_owned();
            if !matches!(arena.network.state(place), PeerState::Ready(_)) {
                return Err(LabError::NotRunning { peer });
            }
            let faults = arena.client(place).faults().await.map_err(|error| LabError::api(&peer, error))?;
            if !faults.cut.is_empty() {
                let message = format!("{peer} is cut off from others: `synod fault heal` first");
                return Err(LabError::Usage { message });
            }
            if faults.resting {
                arena.resting.insert(place);
            }
            arena.check_links(place).await?;
        }
        arena.at = match &arena.roles.peer {
            Some(name) => arena.network.find(name)?,
            // The last one, so that the first can be the others' voice.
            None => arena.full[arena.full.len() - 1],
        };
        if !arena.full.contains(&arena.at) {
            return Err(LabError::Usage { message: "the merchant's peer must be one that keeps blocks".to_owned() });
        }
        Ok(arena)
    }

    /// How many peers look for work's blocks, the attacker's not among them.
    pub fn mining(&self) -> usize {
        self.full.iter().filter(|place| !self.resting.contains(place)).count()
    }

    /// Keeps other attacks from this network for as long as the returned file lives.
    pub fn lock(&self) -> Result<File, LabError> {
        let path = self.network.dir().join(LOCK);
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|error| LabError::io(&path, error))?;
        let message = "another attack is mounted on this network: wait until it has ended".to_owned();
        file.try_lock().map_err(|_| LabError::Usage { message })?;
        Ok(file)
    }

    /// Turns peers, does `work`, and turns them back, whatever came of it.
    pub(super) async fn while_turned<T>(
        &mut self,
        places: &[usize],
        behaviour: &str,
        work: impl AsyncFnOnce(&mut Self) -> Result<T, LabError>,
        stop: impl Future<Output = ()>,
    ) -> Result<T, LabError> {
        // A `synod up` that watches would end with its peers.
        let message = "a `synod up` in the foreground keeps this network: start it with --detach".to_owned();
        let _lock = self.network.lock().map_err(|_| LabError::Usage { message })?;
        let honest = self.network.manifest().settings.clone();
        let mut turned = honest.clone();
        turned.adversaries.extend(places.iter().map(|&place| (peer_name(place), behaviour.to_owned())));
        let working = async {
            self.turn(places, turned).await?;
            work(self).await
        };
        let done = tokio::select! {
            done = working => done,
            () = stop => Err(LabError::Interrupted),
        };
        let back = self.turn(places, honest).await;
        let done = done?;
        back.map(|()| done)
    }

    async fn turn(&mut self, places: &[usize], settings: Settings) -> Result<(), LabError> {
        self.network.reconfigure(settings)?;
        self.network.restart(places, RESTART_MAX).await
    }

    /// The chain's beginning.
    pub const fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// Whom the attacker pays.
    pub const fn merchant(&self) -> Address {
        self.roles.merchant
    }

    /// The attacker's address.
    pub fn attacker(&self) -> Address {
        self.roles.attacker.address()
    }

    /// The attacker, as one that pays.
    pub fn payer(&self) -> Payer {
        Payer { name: self.roles.wallet.clone(), secret: self.roles.attacker.clone() }
    }

    /// A peer's client.
    pub fn client(&self, place: usize) -> Client {
        self.network.client(place)
    }

    /// A peer's name.
    pub fn name(&self, place: usize) -> &str {
        &self.network.peers()[place].name
    }

    /// A peer's status.
    pub async fn status(&self, place: usize) -> Result<Status, LabError> {
        self.client(place).status().await.map_err(|error| LabError::api(self.name(place), error))
    }

    /// Two payments of a coin that all know and that no attack spent yet.
    pub async fn pair(&mut self) -> Result<Pair, LabError> {
        let status = self.status(self.at).await?;
        let fee = status.chain.fee_min;
        let expected = PRICE.checked_add(fee).unwrap_or(Amount::MAX);
        let info = self.client(self.at).address(self.attacker(), AddressQuery { coins: Some(COINS_MAX) }).await;
        let info = info.map_err(|error| LabError::api(self.name(self.at), error))?;
        let usable = info.coins.into_iter().filter(is_usable);
        let greatest = usable.clone().map(|coin| coin.amount).max().unwrap_or_default();
        let mut usable = usable.map(|coin| {
            let output = Output::plain(coin.amount, self.roles.attacker.address());
            let made = Coin { output, height: coin.height.unwrap_or_default(), coinbase: coin.coinbase };
            (OutPoint { tx: coin.tx, index: coin.index }, made)
        });
        let found = usable.find(|(name, coin)| coin.output.amount >= expected && !self.used.contains(name));
        let Some((name, coin)) = found else {
            let wallet = self.roles.wallet.clone();
            return Err(LabError::Funds { wallet, expected, got: greatest });
        };
        self.used.insert(name);
        let pay = |to: Address| {
            let builder = PaymentBuilder::new(status.chain.id).spend(name, coin, &self.roles.attacker);
            builder.pay(to, PRICE).fee(fee).build(self.roles.attacker.address())
        };
        Ok(Pair { payment: pay(self.roles.merchant)?, rival: pay(self.roles.attacker.address())? })
    }

    /// Hands a payment to a peer.
    pub async fn submit(&self, place: usize, tx: &Tx) -> Result<(), LabError> {
        let submitted = self.client(place).submit(tx).await;
        submitted.map(|_| ()).map_err(|error| LabError::api(self.name(place), error))
    }

    /// Hands a payment to several peers at once. A refusal says that another payment of the coin was there first.
    pub async fn submit_everywhere(&self, places: &[usize], tx: &Tx) -> Result<usize, LabError> {
        let handed = join_all(places.iter().map(|&place| self.submit(place, tx))).await;
        let mut accepted = 0;
        for result in handed {
            match result {
                Ok(()) => accepted += 1,
                Err(LabError::Api { source: ClientError::Api(error), .. }) if is_passing(&error.code) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(accepted)
    }

    /// How the two payments stand at every peer that keeps blocks.
    pub async fn fates(&self, pair: &Pair) -> Result<Vec<Fate>, LabError> {
        let (payment, rival) = (pair.payment.id(), pair.rival.id());
        let asked = join_all(self.full.iter().map(|&place| async move {
            let peer = self.name(place).to_owned();
            let payment = self.standing(place, payment).await?;
            Ok(Fate { peer, payment, rival: self.standing(place, rival).await? })
        }));
        asked.await.into_iter().collect()
    }

    async fn standing(&self, place: usize, id: TxId) -> Result<Standing, LabError> {
        match self.client(place).transaction(id).await {
            Ok(info) => Ok(match info.status {
                TransactionStatus::Confirmed => Standing::Confirmed,
                TransactionStatus::Conflicted => Standing::Conflicted,
                TransactionStatus::Pending => Standing::Pending,
            }),
            // It has not heard of it, or is changing over and says so in a moment.
            Err(ClientError::Api(error)) if ["unknown_transaction", "unsettled"].contains(&error.code.as_str()) => {
                Ok(Standing::Unknown)
            }
            Err(error) => Err(LabError::api(self.name(place), error)),
        }
    }

    /// Waits until all peers that keep blocks, and the others given, are on one tip.
    pub async fn wait_one_tip(&self, others: &[&Client], limit: Duration) -> Result<BlockId, LabError> {
        let mut common = None;
        wait("all peers to be on one tip", limit, async || {
            let clients = self.full.iter().map(|&place| self.client(place));
            let all: Vec<Client> = clients.chain(others.iter().map(|client| (*client).clone())).collect();
            let statuses = join_all(all.iter().map(Client::status)).await;
            let tips: BTreeSet<Option<BlockId>> = statuses.into_iter().map(|status| Some(status.ok()?.tip)).collect();
            common = tips.first().copied().flatten().filter(|_| tips.len() == 1);
            Ok(common.is_some())
        })
        .await?;
        Ok(common.expect("just seen"))
    }

    /// How many blocks of a peer's chain are not on another's: what it takes back when it changes over to that.
    pub async fn apart(&self, place: usize, other: &Client) -> Result<u64, LabError> {
        let query = ChainQuery { before: None, limit: Some(APART_MAX) };
        let failed = |error| LabError::api(self.name(place), error);
        let own = self.client(place).chain(query).await.map_err(failed)?;
        let others: BTreeSet<BlockId> =
            other.chain(query).await.map_err(failed)?.into_iter().map(|block| block.id).collect();
        Ok(own.iter().take_while(|block| !others.contains(&block.id)).count() as u64)
    }

    /// How many of another's last blocks down to a height pay one of these.
    pub async fn found(&self, other: &Client, above: u64, paid: &BTreeSet<Address>) -> Result<u64, LabError> {
        let blocks = other.chain(ChainQuery { before: None, limit: Some(APART_MAX) }).await;
        let blocks = blocks.map_err(|error| LabError::api("the attacker's node", error))?;
        let above = blocks.iter().filter(|block| block.height.0 > above);
        Ok(above.filter(|block| block.miner.is_some_and(|miner| paid.contains(&miner))).count() as u64)
    }

    /// The first peers but the merchant's that together have this share of all stake, or more, and the share that they have.
    pub async fn with_stake(&self, share: f64) -> Result<(Vec<usize>, f64), LabError> {
        let (mut places, mut locked, mut held) = (Vec::new(), 0, 0.0);
        for place in self.full.iter().copied().filter(|place| *place != self.at) {
            if held >= share && !places.is_empty() {
                break;
            }
            let Some(stake) = self.stake(place).await?.filter(|stake| stake.locked.0 > 0) else { continue };
            places.push(place);
            locked += stake.locked.0;
            held = locked as f64 / stake.total.0 as f64;
        }
        if places.is_empty() || held < share {
            let message = format!("all peers but the merchant's hold {held:.3} of all stake: --share must not be more");
            return Err(LabError::Usage { message });
        }
        Ok((places, held))
    }

    /// From now on these peers are the attacker's.
    pub fn lose(&mut self, places: &[usize]) {
        self.full.retain(|place| !places.contains(place));
    }

    /// A peer's stake, as the merchant's peer sees it; nothing where blocks are not made by stake.
    pub async fn stake(&self, place: usize) -> Result<Option<StakeInfo>, LabError> {
        self.stake_seen_by(self.at, place).await
    }

    /// A peer's stake, as another sees it.
    pub async fn stake_seen_by(&self, witness: usize, place: usize) -> Result<Option<StakeInfo>, LabError> {
        let address = self.network.peers()[place].miner;
        let info = self.client(witness).address(address, AddressQuery { coins: Some(1) }).await;
        Ok(info.map_err(|error| LabError::api(self.name(witness), error))?.stake)
    }

    /// Which peers keep it as evidence that one coin was spent by both payments.
    pub async fn evidence(&self, pair: &Pair) -> Result<Vec<Evidence>, LabError> {
        let ids = [pair.payment.id(), pair.rival.id()];
        let asked = join_all(self.full.iter().map(|&place| async move {
            let query = MempoolQuery { limit: Some(CONFLICTS_MAX) };
            let pool = self.client(place).mempool(query).await;
            let pool = pool.map_err(|error| LabError::api(self.name(place), error))?;
            let kept = pool.conflicts.into_iter().filter(|of| ids.contains(&of.kept) && ids.contains(&of.seen));
            let peer = self.name(place);
            Ok(kept.map(|of| Evidence { peer: peer.to_owned(), kept: of.kept, seen: of.seen }).collect::<Vec<_>>())
        }));
        let kept: Result<Vec<_>, LabError> = asked.await.into_iter().collect();
        Ok(kept?.concat())
    }

    /// Waits until a node is connected to all peers and on their tip.
    pub async fn wait_joined(&self, name: &str, node: &Client) -> Result<(), LabError> {
        self.wait_met(name, node).await?;
        self.wait_one_tip(&[node], PATIENCE).await.map(|_| ())
    }

    /// Waits until a node is connected to all peers.
    pub async fn wait_met(&self, name: &str, node: &Client) -> Result<(), LabError> {
        let wanted: BTreeSet<String> = self.full.iter().map(|&place| self.peer_id(place)).collect();
        wait("the attacker's node to join", PATIENCE, async || {
            let peers = node.peers().await.map_err(|error| LabError::api(name, error))?;
            let there: BTreeSet<String> = peers.into_iter().map(|peer| peer.peer_id).collect();
            Ok(wanted.is_subset(&there))
        })
        .await
    }

    /// Sets who cannot talk to whom: for each peer that keeps blocks, the peers that it is cut off from.
    pub async fn cut(&self, from: impl Fn(usize) -> Vec<String>) -> Result<(), LabError> {
        self.cut_at(&self.full, from).await
    }

    /// Ends all cuts, at the attacker's peers too.
    pub async fn heal(&self) -> Result<(), LabError> {
        let all: Vec<usize> = (0..self.network.manifest().settings.full_count()).collect();
        self.cut_at(&all, |_| Vec::new()).await
    }

    async fn cut_at(&self, places: &[usize], from: impl Fn(usize) -> Vec<String>) -> Result<(), LabError> {
        let set = join_all(places.iter().map(|&place| {
            let cut = from(place);
            async move {
                let (client, failed) = (self.client(place), |error| LabError::api(self.name(place), error));
                // Delays and losses are the network's own.
                let faults = client.faults().await.map_err(failed)?;
                client.set_faults(&Faults { cut, ..faults }).await.map(|_| ()).map_err(failed)
            }
        }));
        set.await.into_iter().collect()
    }

    /// The libp2p peer id of a peer.
    pub fn peer_id(&self, place: usize) -> String {
        self.network.peers()[place].peer_id.clone()
    }
}

/// The cumulative work of a status's tip.
pub(super) fn work(status: &Status) -> U256 {
    U256::from_str_radix(&status.work, 16).unwrap_or(U256::ZERO)
}

/// Whether a refusal says something of the moment: the rival was there first, or the peer changes over.
pub(super) fn is_passing(code: &str) -> bool {
    ["tx_conflict", "tx_missing_coin", "unsettled"].contains(&code)
}

/// Polls until `holds`.
pub(super) async fn wait(
    what: &str,
    limit: Duration,
    mut holds: impl AsyncFnMut() -> Result<bool, LabError>,
) -> Result<(), LabError> {
    let begin = Instant::now();
    while !holds().await? {
        if begin.elapsed() > limit {
            return Err(LabError::TimedOut { what: format!("waiting for {what}"), limit, log: Vec::new() });
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}
