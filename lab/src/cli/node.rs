//! `synod node`: one peer in the foreground, and the files with which one joins a network.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use synod_node::StartError;
use synod_node::config::{Config, MiningConfig, NetworkConfig, OverlaysConfig, load_genesis, parse_hash_rate};
use synod_node::net::Multiaddr;
use tracing_subscriber::EnvFilter;

use super::context::Context;
use crate::create::{CONFIG, DATA, GENESIS, listen_addresses, load_identity, overlays_config, save_config};
use crate::error::LabError;
use crate::files;
use crate::network::Network;
use crate::ports;
use crate::process;
use crate::settings::{Gossip, Settings, Transport};

/// `synod node`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = EXAMPLE, after_long_help = LONG_HELP)]
pub(super) struct NodeArgs {
    /// The peer's configuration file
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
    /// Keep headers alone, and read blocks and payments of others; it does not mine then
    #[arg(long)]
    light: bool,
    /// The process that must live for this one to live
    #[arg(long, hide = true, value_name = "PID")]
    attached: Option<u32>,
    #[command(subcommand)]
    command: Option<NodeCommand>,
}

const EXAMPLE: &str = "\
Example:
  synod node init --out carl --name carl     # joins the network in --dir
  synod node --config carl/node.toml
  synod node --config carl/node.toml --light # keeps headers alone

`synod node --help` lists what the configuration may hold.";

/// Every key of `synod_node::config::Config`, with its default; a test reads it as a configuration.
const LONG_HELP: &str = "\
Example:
  synod node init --out carl --name carl     # joins the network in --dir
  synod node --config carl/node.toml

The configuration is TOML; its paths are relative to its folder. `name` and `genesis` must be there, and so must
`address` and `hash_rate` where there is [mining]. The values of all others here are their defaults:

  name = \"carl\"                        # what people call the peer
  genesis = \"genesis.toml\"             # the chain's genesis file
  data = \"data\"                        # the folder of its key, its store and run.json
  listen = [\"/ip4/127.0.0.1/tcp/0\"]    # for peers: tcp/PORT or udp/PORT/quic-v1; port 0 takes a free one
  bootstrap = []                       # peers to look for first: /ip4/ADDRESS/tcp/PORT/p2p/PEER
  api = \"127.0.0.1:0\"                  # its HTTP API
  faults = false                       # whether the API may shape and cut links
  light = false                        # whether it keeps headers alone, and reads blocks and payments of others
  [mining]                             # without this section it does not mine
  address = \"syn1...\"                  # who is paid
  hash_rate = 50000                    # hashes per second of all threads together; 0 does not mine
  threads = 1                          # they share the hash rate
  [network]
  neighbours_min = 4                   # it looks for more neighbours while it has fewer
  connections_max = 64                 # it accepts no more connections
  discover = true                      # whether it looks for peers beside those in bootstrap
  gossip = \"gossipsub\"                 # who carries blocks and payments: gossipsub, mesh or flood; all nodes alike
  gossip_signed = true                 # whether what it gossips carries its signature
  kad_public = true                    # whether it answers the public Kademlia protocol /ipfs/kad/1.0.0
  [overlays]
  capacity = 1000                      # what it can do as a superpeer, in kilobytes a second
  dht = []                             # tables it takes part in: chord, kademlia, kademlia-lab
  index = []                           # the central index's servers: /ip4/ADDRESS/tcp/PORT/p2p/PEER
  ledger = true                        # whether it publishes its share of blocks and transactions
  search = []                          # searches it takes part in: flood, index, superpeer";

#[derive(Debug, Subcommand)]
enum NodeCommand {
    /// Write a configuration, a key and the genesis for a peer that joins a network
    Init(InitArgs),
}

/// `synod node init`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  synod node init --out carl --name carl                       # joins the network in --dir
  synod node init --out carl --genesis genesis.toml --bootstrap /ip4/127.0.0.1/tcp/4001/p2p/12D3KooW...
  synod node --config carl/node.toml")]
struct InitArgs {
    /// The new peer's directory
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What people call the peer [default: the directory's name]
    #[arg(long)]
    name: Option<String>,
    /// Take genesis and addresses from the network in this directory [default: that of --dir]
    #[arg(long, value_name = "DIR", conflicts_with_all = ["genesis", "bootstrap"])]
    from_dir: Option<PathBuf>,
    /// The chain's genesis file
    #[arg(long, value_name = "FILE", requires = "bootstrap")]
    genesis: Option<PathBuf>,
    /// A peer to look for first; may be given several times
    #[arg(long, value_name = "ADDRESS", requires = "genesis")]
    bootstrap: Vec<Multiaddr>,
    /// It keeps headers alone, and reads blocks and payments of others
    #[arg(long, conflicts_with = "miner")]
    light: bool,
    /// Who is paid for the blocks it mines: a wallet or an address [default: it does not mine]
    #[arg(long, value_name = "WALLET", requires = "hash_rate")]
    miner: Option<String>,
    /// Hashes per second that it mines with
    #[arg(long, value_name = "RATE", value_parser = parse_hash_rate, requires = "miner")]
    hash_rate: Option<u64>,
    /// What its connections run over
    #[arg(long, default_value = "tcp")]
    transport: Transport,
    /// Who carries blocks and payments [default: as in the network that it joins, or gossipsub]
    #[arg(long)]
    gossip: Option<Gossip>,
}

pub(super) fn run(context: &Context, args: NodeArgs) -> Result<(), LabError> {
    match (args.command, args.config) {
        (Some(NodeCommand::Init(init)), _) => self::init(context, &init),
        (None, Some(config)) => serve(context, &config, args.light, args.attached),
        (None, None) => Err(LabError::Usage { message: "--config FILE is missing".to_owned() }),
    }
}

fn serve(context: &Context, config: &Path, light: bool, attached: Option<u32>) -> Result<(), LabError> {
    if let Some(parent) = attached
        && !process::stop_with_parent(parent)
    {
        return Err(LabError::Interrupted);
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(context.shell.color).with_writer(std::io::stderr);
    log.init();
    let mut config = Config::load(config).map_err(StartError::Config)?;
    if light {
        if config.adversary.is_some() {
            return Err(LabError::Usage {
                message: "--light: a light peer cannot be the `adversary` of its configuration".to_owned(),
            });
        }
        (config.light, config.mining) = (true, None);
    }
    synod_node::run(config, |run| {
        if context.shell.json {
            context.shell.json_line(run);
        } else {
            let listen = run.listen.join(", ");
            context.shell.print(&format!("{} is ready: API on http://{}, peers on {listen}", run.name, run.api));
        }
    })?;
    Ok(())
}

fn init(context: &Context, args: &InitArgs) -> Result<(), LabError> {
    let path = args.out.join(CONFIG);
    if path.exists() {
        return Err(LabError::ForeignDirectory { dir: args.out.clone() });
    }
    let (genesis, bootstrap, gossip, overlays) = match &args.genesis {
        Some(genesis) => (genesis.clone(), args.bootstrap.clone(), Gossip::default(), OverlaysConfig::default()),
        None => known_network(args.from_dir.as_deref().unwrap_or(&context.dir))?,
    };
    // A wrong genesis is found now and not at the first start.
    let chain = load_genesis(&genesis)?.chain_id();
    let mining = match (&args.miner, args.hash_rate) {
        (Some(miner), Some(hash_rate)) => {
            Some(MiningConfig { address: context.wallets().resolve(miner)?.address, hash_rate, threads: 1 })
        }
        _ => None,
    };
    let data = args.out.join(DATA);
    files::create_dir(&data)?;
    files::write(&args.out.join(GENESIS), files::read(&genesis)?.as_bytes())?;
    let peer_id = load_identity(&data)?.peer().to_string();
    let ports = ports::free(2)?;
    let directory_name = args.out.file_name().map(|name| name.to_string_lossy().into_owned());
    let listen = listen_addresses(args.transport, ports[0]);
    let config = Config {
        name: args.name.clone().or(directory_name).unwrap_or_else(|| "peer".to_owned()),
        data: DATA.into(),
        genesis: GENESIS.into(),
        listen: listen.iter().map(|address| address.parse().expect("the address is our own")).collect(),
        bootstrap,
        api: SocketAddr::from((Ipv4Addr::LOCALHOST, ports[1])),
        faults: false,
        mining,
        adversary: None,
        light: args.light,
        network: NetworkConfig { gossip: args.gossip.unwrap_or(gossip).kind(), ..NetworkConfig::default() },
        overlays,
    };
    save_config(&path, &config)?;
    let result = json!({
        "config": path, "name": config.name, "peer_id": peer_id, "chain_id": chain, "listen": listen, "api": config.api,
    });
    context.shell.result(&result, || format!("Start the peer with\n  synod node --config {}", path.display()));
    Ok(())
}

/// A network's genesis file, the addresses of its first peers, who carries gossip there, and which overlays there are.
fn known_network(dir: &Path) -> Result<(PathBuf, Vec<Multiaddr>, Gossip, OverlaysConfig), LabError> {
    let network = Network::open(dir, Path::new("synod"))?;
    let Settings { transport, gossip, .. } = &network.manifest().settings;
    let overlays = overlays_config(network.manifest());
    let addresses = network.peers().iter().take(BOOTSTRAP_PEERS).flat_map(|entry| {
        let listen = listen_addresses(*transport, entry.port);
        listen.into_iter().map(|address| format!("{address}/p2p/{}", entry.peer_id))
    });
    let addresses = addresses.map(|text| text.parse().expect("the addresses are our own")).collect();
    Ok((network.genesis_path(), addresses, *gossip, overlays))
}

/// One that answers is enough; three survive two that are down.
const BOOTSTRAP_PEERS: usize = 3;

#[cfg(test)]
mod tests {
    use synod_node::config::GossipKind;

    use super::*;
    use crate::shell::Shell;

    #[test]
    fn the_help_shows_every_key_with_its_default() {
        let start = LONG_HELP.find("  name = ").expect("the configuration");
        let address = crate::wallets::new_key().expect("a key").address().to_string();
        let shown = LONG_HELP[start..].replace("syn1...", &address);
        let path = Path::new("node.toml");
        let all = Config::parse(&shown, path).expect("valid");
        let least = format!(
            "name = \"carl\"\ngenesis = \"genesis.toml\"\n[mining]\naddress = \"{address}\"\nhash_rate = 50000"
        );
        assert_eq!(all, Config::parse(&least, path).expect("valid"));
        let written = toml::to_string(&all).expect("TOML");
        for key in written.lines().filter_map(|line| line.split_once(" = ")) {
            assert!(LONG_HELP.contains(&format!("  {} = ", key.0)), "{} is missing", key.0);
        }
    }

    #[test]
    fn a_joining_peer_gets_the_networks_genesis_and_addresses() {
        let base = tempfile::tempdir().expect("a directory");
        let dir = base.path().join("net");
        let settings = Settings { gossip: Gossip::Mesh, ..Settings::default() };
        Network::create(&dir, &settings, Path::new("unused")).expect("made");
        let shell = Shell { json: true, terminal: false, color: false };
        let context = Context { shell, dir: dir.clone() };
        let out = base.path().join("carl");
        let args = InitArgs {
            out: out.clone(),
            name: None,
            from_dir: None,
            genesis: None,
            bootstrap: Vec::new(),
            light: false,
            miner: Some("bob".to_owned()),
            hash_rate: Some(10),
            transport: Transport::Tcp,
            gossip: None,
        };
        init(&context, &args).expect("written");
        let config = Config::load(&out.join(CONFIG)).expect("valid");
        assert_eq!(config.name, "carl");
        assert_eq!(config.bootstrap.len(), 3);
        assert_eq!(config.network.gossip, GossipKind::Mesh);
        assert_eq!(config.mining.expect("it mines").hash_rate, 10);
        let copied = load_genesis(&out.join(GENESIS)).expect("valid").chain_id();
        assert_eq!(copied, load_genesis(&dir.join(GENESIS)).expect("valid").chain_id());
        assert!(matches!(init(&context, &args), Err(LabError::ForeignDirectory { .. })), "nothing is overwritten");
    }
}
