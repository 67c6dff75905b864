// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Every descriptor on a socket, of every process of the reader's pid namespace: one fixed record
 * each (record.rs). The kernel walks the descriptor tables itself
 * (kernel/bpf/task_iter.c, Linux 5.11 and newer), which saves the two system calls a descriptor
 * that a walk over /proc/PID/fd costs.
 *
 * Structures of the kernel are declared with the members used here alone; where these lie is
 * found when the program is loaded (CO-RE).
 */

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed int __s32;
typedef signed long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

enum { BPF_MAP_TYPE_HASH = 1 };

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define KERNEL __attribute__((preserve_access_index))
#define NAME_LENGTH 16 /* TASK_COMM_LEN */

struct pid_namespace;

struct upid {
	int nr;
	struct pid_namespace *ns;
} KERNEL;

struct pid {
	unsigned int level;
	struct upid numbers[1];
} KERNEL;

struct files_struct;

struct task_struct {
	int pid;
	int tgid;
	struct pid *thread_pid;
	struct task_struct *group_leader;
	struct task_struct *real_parent;
	struct files_struct *files;
	__u64 start_boottime;
	char comm[NAME_LENGTH];
} KERNEL;

struct ns_common {
	unsigned int inum;
} KERNEL;

struct net {
	struct ns_common ns;
} KERNEL;

typedef struct {
	struct net *net;
} KERNEL possible_net_t;

struct sock_common {
	unsigned char skc_reuse : 4;
	unsigned char skc_reuseport : 1;
	possible_net_t skc_net;
} KERNEL;

struct sock {
	struct sock_common __sk_common;
} KERNEL;

struct socket {
	struct sock *sk;
} KERNEL;

struct inode {
	unsigned long i_ino;
} KERNEL;

struct file {
	struct inode *f_inode;
} KERNEL;

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
} KERNEL;

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
} KERNEL;

enum {
	REUSE_ADDRESS = 1,
	REUSE_PORT = 2,
	WITHOUT_SOCK = 4,
};

/* record.rs reads this; sizes and order are the agreement. */
struct record {
	__u64 inode;
	__u64 started; /* nanoseconds since boot */
	__u64 table; /* tells descriptor tables apart */
	__u32 pid;
	__u32 tid;
	__u32 fd;
	__u32 parent;
	__u32 namespace; /* of the network */
	__u32 flags;
	char name[NAME_LENGTH]; /* of the process: of its first thread */
};

/* The sockets asked for; the loader sets how many. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, __u8);
} wanted SEC(".maps");

/*
 * The number that a process or thread has at a level of pid namespaces (upid in the kernel's
 * words); 0 where it has none in this one, as /proc shows a parent outside.
 */
static __always_inline __u32 number_at(struct pid *pid, __u32 level, struct pid_namespace *seen)
{
	struct pid_namespace *namespace = 0;
	struct upid *at;
	__u32 number = 0;

	if (!pid || pid->level < level)
		return 0;
	at = (void *)&pid->numbers[0] + level * bpf_core_type_size(struct upid);
	bpf_core_read(&namespace, sizeof(namespace), &at->ns);
	if (namespace != seen)
		return 0;
	bpf_core_read(&number, sizeof(number), &at->nr);
	return number;
}

/*
 * A task's own numbers are those of the first pid namespace. The kernel lists what the reader's
 * namespace holds, so numbers must be those that the reader knows.
 */
static __always_inline void write_numbers(struct record *record, struct task_struct *task)
{
	struct pid *reader = bpf_get_current_task_btf()->thread_pid;
	struct task_struct *leader = task->group_leader;
	__u32 level = reader->level;
	struct pid_namespace *seen = 0;
	struct upid *at;

	if (level == 0) {
		record->pid = task->tgid;
		record->tid = task->pid;
		record->parent = leader->real_parent->tgid;
		return;
	}
	at = (void *)&reader->numbers[0] + level * bpf_core_type_size(struct upid);
	bpf_core_read(&seen, sizeof(seen), &at->ns);
	record->pid = number_at(leader->thread_pid, level, seen);
	record->tid = number_at(task->thread_pid, level, seen);
	record->parent = number_at(leader->real_parent->group_leader->thread_pid, level, seen);
}

static __always_inline int write_record(struct bpf_iter__task_file *ctx, int chosen)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct record record = {};
	struct task_struct *leader;
	struct socket *socket;
	struct sock *sk;

	if (!task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	record.inode = file->f_inode->i_ino;
	if (chosen && !bpf_map_lookup_elem(&wanted, &record.inode))
		return 0;

	leader = task->group_leader;
	record.started = leader->start_boottime;
	record.table = (__u64)task->files;
	record.fd = ctx->fd;
	write_numbers(&record, task);
	/* Who asks for every socket asks who holds it; its sock lies far from its file. */
	sk = chosen ? socket->sk : 0;
	if (sk) {
		record.namespace = sk->__sk_common.skc_net.net->ns.inum;
		if (BPF_CORE_READ_BITFIELD(&sk->__sk_common, skc_reuse))
			record.flags |= REUSE_ADDRESS;
		if (BPF_CORE_READ_BITFIELD(&sk->__sk_common, skc_reuseport))
			record.flags |= REUSE_PORT;
	} else {
		record.flags |= WITHOUT_SOCK;
	}
	__builtin_memcpy(record.name, leader->comm, NAME_LENGTH);
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

SEC("iter/task_file")
int every_socket(struct bpf_iter__task_file *ctx)
{
	return write_record(ctx, 0);
}

SEC("iter/task_file")
int chosen_sockets(struct bpf_iter__task_file *ctx)
{
	return write_record(ctx, 1);
}

char _license[] SEC("license") = "Dual MIT/GPL";
