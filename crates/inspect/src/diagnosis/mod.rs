//! What is wrong, or stands in the way, with its evidence. Pure.

pub mod bind;
pub mod reach;
