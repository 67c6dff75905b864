//! What `-e` adds to the owners of a socket.

use super::AboutFields;
use super::socket::SocketRecord;
use crate::listing::Row;
use crate::render::sockets::Names;

impl SocketRecord<'_> {
    /// The same record of `row`, in which each owner tells what its process says of itself.
    #[must_use]
    pub fn extended(mut self, row: &Row<'_>, names: &dyn Names) -> Self {
        // The record has the owners of the row, in their order.
        for (record, owner) in self.owners.iter_mut().zip(row.owners) {
            let about = names.process(&owner);
            record.process = Some(about.map(|about| Box::new(AboutFields::from(&*about))));
        }
        self
    }
}
