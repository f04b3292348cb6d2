//! Attendance from the events of livehooks.

pub mod attendance;
pub mod collect;
pub mod facts;

pub type Error = Box<dyn std::error::Error + Send + Sync>;
