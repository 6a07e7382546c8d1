//! The laboratory: everything behind the `synod` command.
//!
//! The part that starts, finds, stops and breaks a local network ([`network`], [`create`], [`watch`], [`faults`],
//! [`load`]) is a library, which the command line and the whole-system tests use alike. The commands are in [`cli`].

pub mod attack;
pub mod bench;
pub mod cli;
pub mod create;
mod error;
mod exit;
pub mod faults;
mod files;
pub mod load;
pub mod merchant;
pub mod network;
mod ports;
pub mod process;
pub mod proof;
pub mod real;
mod searches;
pub mod settings;
pub mod shell;
mod solo;
pub mod tree;
pub mod units;
pub mod wallets;
pub mod watch;

pub use error::LabError;
pub use exit::Exit;
