//! Opens what packets are from, watches their sockets, sheds rights, starts the command.

use std::path::Path;

use anyhow::Context as _;

use super::awaiting::Awaiting;
use super::chooser::Chooser;
use super::looker::Looker;
use super::{Run, lives, messages};
use crate::app::{Context, Exit, Usage, command, look, names, signals};
use crate::capture::{self, File, FileError, FilterError, Live, OpenError, Options};
use crate::cli::capture::{From, Request};
use crate::launch::{self, Account, Descriptors, Kin};
use crate::namespaces;
use crate::owners::Choice;
use crate::selection::{Selection, Test};
use crate::stop::Stop;

pub(crate) fn run(request: &Request, context: &Context) -> anyhow::Result<Exit> {
    let account = match &request.run_as {
        None => None,
        Some(word) => {
            let account = Account::named(word)
                .ok_or_else(|| Usage(format!("no user {word:?} on this machine")))?;
            // Before there is another thread.
            launch::forbid_new_rights().context("cannot forbid new rights")?;
            Some(account)
        }
    };
    let account = account.as_ref();
    let stop = if request.command.is_empty() {
        signals::stop_on_signals()
    } else {
        // Signals are the command's.
        Stop::new()
    };
    let stop = stop.context("cannot listen for Ctrl-C")?;
    match (&request.from, &request.netns) {
        (From::File(path), _) => {
            // A FIFO that nobody writes, or a terminal.
            let name = match path.as_os_str() == "-" {
                true => "stdin".into(),
                false => path.display().to_string(),
            };
            let words = format!("Nothing yet. Waiting for a capture file from {name}.");
            let awaiting = Awaiting::begin(context, request, words);
            let opened = File::open(path, &request.selection, &request.filter, stop.clone());
            drop(awaiting);
            match opened {
                Ok(mut file) => {
                    let chooser = chooser(request, None)?;
                    if chooser.is_some() && !file.may_have_comments() {
                        return Err(Usage(messages::needs_owners().to_owned()).into());
                    }
                    shed(account, false)?;
                    let mut run = Run::new(request, context, &stop, &mut file, None)?;
                    run.chooser = chooser;
                    run.run()
                }
                Err(FileError::Filter(error)) => Ok(wrong_filter(&error, context)),
                Err(error) => Err(error.into()),
            }
        }
        (_, None) => on_the_spot(request, context, account, &stop),
        // Every thread that is started there stays there, so that the interfaces, the sockets
        // and the addresses that are looked at are those of that namespace.
        (_, Some(word)) => {
            let namespace = look::named(word)?;
            namespaces::on_thread_in(&namespace, || on_the_spot(request, context, account, &stop))?
        }
    }
}

/// Where owners come from, and why not from where one knows more.
fn say_owners(context: &Context, request: &Request, refused: Option<&String>) {
    match (request.owners, refused) {
        (Choice::Bpf, Some(reason)) if request.needs_owners() => context.say(&format!(
            "inspect: owners from /proc: the kernel does not tell of sockets as they come and \
             go: {reason}"
        )),
        _ if !context.verbose || !request.needs_owners() => {}
        (Choice::None, _) => context.say("Owners are not looked for."),
        (_, None) => context.say(
            "Owners as the kernel tells of sockets (bpf), and from tables for those from before.",
        ),
        (Choice::Proc, _) => context.say("Owners from /proc, as asked."),
        (_, Some(reason)) => context.say(&format!(
            "Owners from /proc: who is gone within some milliseconds is missed. The kernel does \
             not tell of sockets as they come and go: {reason}."
        )),
    }
}

/// What is done in the network namespace of the calling thread.
fn on_the_spot(
    request: &Request,
    context: &Context,
    account: Option<&Account>,
    stop: &Stop,
) -> anyhow::Result<Exit> {
    let From::Interface(interface) = &request.from else {
        return messages::list_interfaces(&capture::interfaces(), context.screen.charset)
            .map(|()| Exit::Done);
    };
    let kin = (!request.command.is_empty()).then(Kin::of_this_process);
    let chooser = chooser(request, kin.clone())?;
    let options = Options {
        interface: interface.clone(),
        snaplen: request.snaplen,
        buffer_kib: request.buffer_kib,
        promiscuous: request.promiscuous,
        selection: request.selection.clone(),
        filter: request.filter.clone(),
    };
    let inherited = Descriptors::now().context("cannot list the open descriptors")?;
    // A pcap file has no owners, and needs nobody to watch, unless packets are chosen by them.
    let choice = match request.needs_owners() {
        true => request.owners,
        false => Choice::None,
    };
    let watched = lives::start(choice, request.owners_buffer_kib, kin.clone());
    match Live::open(&options, stop.clone()) {
        Ok(mut live) => {
            // Threads, files and the command come after it, and have its rights.
            shed(account, choice != Choice::None)?;
            let mut looker = Looker::start(request, kin)?;
            if account.is_some_and(|account| !account.is_root()) {
                // Only the looker's thread sees what is others'. This one reads what strangers
                // send, and starts whatever comes later.
                launch::drop_capabilities().context("cannot give capabilities up")?;
            }
            say_owners(context, request, watched.as_ref().err());
            looker.lives = watched.ok();
            let mut run = Run::new(request, context, stop, &mut live, Some(looker))?;
            run.chooser = chooser;
            if request.command.is_empty() {
                return run.run();
            }
            inherited
                .keep_later_ones()
                .context("cannot keep the capture from the command")?;
            run.announce();
            let words = &request.command;
            let launched = command::start(words, command::DRAIN, stop, &run.typed)?;
            let done = run.run();
            let ended = command::finish(&launched, &request.command, context);
            // A script that puts this before a command still sees how that ended; unless what
            // was asked of this program itself went wrong.
            match done? {
                Exit::Done => Ok(ended),
                failed => Ok(failed),
            }
        }
        Err(OpenError::Filter(error)) => Ok(wrong_filter(&error, context)),
        Err(OpenError::Permission) => {
            context.say(&messages::permission(context));
            Ok(Exit::Failed)
        }
        Err(error) => Err(error.into()),
    }
}

/// Gives up the rights that opening a capture took, where that is asked for.
fn shed(account: Option<&Account>, sees_owners: bool) -> anyhow::Result<()> {
    match account {
        Some(account) => Ok(launch::run_as(account, sees_owners)?),
        None => Ok(()),
    }
}

/// What chooses packets by the owners of their ends, where that is asked for.
pub(super) fn chooser(request: &Request, kin: Option<Kin>) -> anyhow::Result<Option<Chooser>> {
    if !request.chooses_by_owner() {
        return Ok(None);
    }
    let is_live = matches!(request.from, From::Interface(_));
    for test in request.owned.tests() {
        if let Test::Pid(pid) = test
            && is_live
            && !Path::new("/proc").join(pid.to_string()).exists()
        {
            anyhow::bail!("cannot capture for process {pid}: there is no such process");
        }
    }
    let users = Selection::one_of(names::users(&request.users)?);
    let wanted = Selection::All(vec![request.owned.clone(), users]);
    Ok(Some(Chooser::new(wanted, kin)))
}

fn wrong_filter(error: &FilterError, context: &Context) -> Exit {
    // What a cooked link of all interfaces does not have, one interface may.
    let elsewhere = if error.reason.contains("cooked") {
        " (-i NAME captures on one interface alone, as its link is)"
    } else {
        ""
    };
    context.say(&format!("inspect: {error}{elsewhere}"));
    Exit::WrongUsage
}
