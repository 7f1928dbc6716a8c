//! The few calls of librdkafka that its safe wrapper lacks. Nothing else is here: each function makes one call, and says why it
//! is sound.

use rdkafka::bindings::{rd_kafka_message_leader_epoch, rd_kafka_topic_partition_set_leader_epoch};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::TopicPartitionList;

/// The epoch of the leader that wrote a message that was read. `None` if its log has none.
#[must_use]
pub fn leader_epoch(message: &BorrowedMessage<'_>) -> Option<i32> {
    // SAFETY: the pointer is that of a live message, which the call only reads; a `BorrowedMessage` keeps it alive.
    let epoch = unsafe { rd_kafka_message_leader_epoch(message.ptr()) };
    (epoch >= 0).then_some(epoch)
}

/// Says in which epoch what lies below the position was read, so that a log that was cut since is noticed when the list is
/// assigned. `index` counts the list's entries from 0.
///
/// # Panics
/// The list is shorter.
pub fn set_leader_epoch(list: &mut TopicPartitionList, index: usize, epoch: i32) {
    assert!(index < list.count(), "entry {index} of {}", list.count());
    // SAFETY: the list is borrowed for writing, its `elems` are an array of `cnt` entries, and the index is below that.
    unsafe {
        let entry = (*list.ptr()).elems.add(index);
        rd_kafka_topic_partition_set_leader_epoch(entry, epoch);
    }
}
