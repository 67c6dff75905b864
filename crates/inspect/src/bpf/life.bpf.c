// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Births, changes and deaths of sockets, and the processes that use them, as they happen: one
 * fixed record each (life_record.rs), through one ring that wakes nobody: the reader polls.
 *
 * Who it was is told only where the kernel runs for that process: when TCP leaves CLOSED to
 * connect or to listen, and when a call returns. Everything else that TCP does may run for
 * whichever process the processor was interrupted in.
 *
 * Of the calls that send only the first of each process on each socket makes a record, so that
 * who sends all the time costs a look into a table. Their numbers and arguments are read as
 * x86-64 has them (arch/x86/entry/syscalls/syscall_64.tbl); elsewhere no call is told, and the
 * reader does not attach that program. Calls by 32-bit programs and by io_uring are not told.
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

enum {
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
};

enum { BPF_RB_NO_WAKEUP = 1 };

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#include "life_kernel.h"

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define TS_COMPAT 2 /* arch/x86/include/asm/thread_info.h */
#define NO_FD (-1)

enum kind {
	STATE = 1,
	SOCKET,
	BIND,
	CONNECT,
	ACCEPT,
	SEND,
	EXEC,
	EXIT,
	FORK,
};

/* include/net/tcp_states.h */
enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT,
	TCP_SYN_RECV,
	TCP_CLOSE = 7,
	TCP_LISTEN = 10,
};

/* That others may share its port. */
enum { REUSE = 1 };

/* life_record.rs reads this; sizes and order are the agreement. */
struct record {
	__u64 time; /* CLOCK_MONOTONIC, nanoseconds */
	__u64 started; /* the process, nanoseconds since boot */
	__u64 cookie; /* 0 where it has none yet */
	__u64 inode; /* 0 where no descriptor was ever made for it */
	__u32 namespace; /* of the network */
	__u32 pid; /* 0 where it is not told */
	__u32 tid;
	__s32 fd;
	__u32 user; /* of the socket; of a fork the number of the parent */
	__u8 kind;
	__u8 family;
	__u8 old_state;
	__u8 new_state;
	__u16 protocol;
	__u16 local_port;
	__u16 remote_port;
	__u16 flags;
	__u8 local[ADDRESS_LENGTH]; /* of IPv4 the first four */
	__u8 remote[ADDRESS_LENGTH];
	char name[NAME_LENGTH]; /* of the process: of its first thread */
};

struct settings {
	__u32 pid_namespace; /* whose numbers are wanted */
	__u32 network; /* only its sockets; 0: all */
	__u32 forks; /* whether they are wanted too */
};

/* The first pid namespace, in which a task's own numbers count (PROC_PID_INIT_INO). */
#define FIRST_PID_NAMESPACE 0xEFFFFFFCU
/* How deep a process may stand below it (the kernel's MAX_PID_NS_LEVEL is 32). */
#define DEEPEST 4

/* The reader sets how large. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

/* Records for which the ring had no room. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

struct use {
	__u64 inode;
	__u64 process;
};

/* Who has sent on what. Whom it forgets is told once more. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct use);
	__type(value, __u8);
} used SEC(".maps");

/* Processes of which a record told: of them exec and exit matter. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u8);
} told SEC(".maps");

static __always_inline struct settings *wanted(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&settings, &first);
}

static __always_inline struct record *begin(__u8 kind)
{
	struct record *record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);
	__u32 first = 0;
	__u64 *count;

	if (!record) {
		count = bpf_map_lookup_elem(&lost, &first);
		if (count)
			__sync_fetch_and_add(count, 1);
		return 0;
	}
	__builtin_memset(record, 0, sizeof(*record));
	record->time = bpf_ktime_get_ns();
	record->kind = kind;
	record->fd = NO_FD;
	return record;
}

/* The number that a task has in that namespace; 0 where it has none there. */
static __always_inline __u32 number_in(struct task_struct *task, __u32 namespace)
{
	struct pid *pid = task->thread_pid;
	unsigned int level, deepest;

	if (namespace == FIRST_PID_NAMESPACE)
		return task->pid;
	if (!pid)
		return 0;
	deepest = pid->level;
#pragma unroll
	for (level = 0; level <= DEEPEST; level++) {
		struct upid *at = (void *)&pid->numbers[0] + level * bpf_core_type_size(struct upid);
		struct pid_namespace *seen = 0;
		unsigned int inum = 0;
		int number = 0;

		if (level > deepest)
			break;
		bpf_core_read(&seen, sizeof(seen), &at->ns);
		if (!seen)
			break;
		bpf_core_read(&inum, sizeof(inum), &seen->ns.inum);
		if (inum != namespace)
			continue;
		bpf_core_read(&number, sizeof(number), &at->nr);
		return number;
	}
	return 0;
}

static __always_inline void write_process(struct record *record, struct task_struct *task)
{
	struct settings *settings = wanted();
	struct task_struct *leader = task->group_leader;
	__u32 namespace = settings ? settings->pid_namespace : FIRST_PID_NAMESPACE;
	__u32 process = task->tgid;
	__u8 yes = 1;

	record->tid = number_in(task, namespace);
	record->pid = number_in(leader, namespace);
	record->started = leader->start_boottime;
	__builtin_memcpy(record->name, leader->comm, NAME_LENGTH);
	if (record->kind != EXIT && record->kind != FORK)
		bpf_map_update_elem(&told, &process, &yes, 0);
}

/* Where a socket is. Everything is copied, because at the end of a call it is found by numbers. */
static __always_inline void write_ends(struct record *record, struct sock *sk)
{
	struct net *net = 0;
	__be16 port = 0;

	if (BPF_CORE_READ_BITFIELD_PROBED(&sk->__sk_common, skc_reuse) ||
	    BPF_CORE_READ_BITFIELD_PROBED(&sk->__sk_common, skc_reuseport))
		record->flags |= REUSE;
	record->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	record->protocol = BPF_CORE_READ(sk, sk_protocol);
	record->user = BPF_CORE_READ(sk, sk_uid.val);
	bpf_core_read(&net, sizeof(net), &sk->__sk_common.skc_net.net);
	if (net)
		bpf_core_read(&record->namespace, sizeof(record->namespace), &net->ns.inum);
	/* skc_num is 0 as soon as a port is given back, and inet_sport is not. */
	bpf_core_read(&port, sizeof(port), &((struct inet_sock *)sk)->inet_sport);
	record->local_port = bpf_ntohs(port);
	bpf_core_read(&port, sizeof(port), &sk->__sk_common.skc_dport);
	record->remote_port = bpf_ntohs(port);
	if (record->family == AF_INET6) {
		bpf_core_read(&record->local, ADDRESS_LENGTH, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_core_read(&record->remote, ADDRESS_LENGTH, &sk->__sk_common.skc_v6_daddr);
	} else {
		bpf_core_read(&record->local, sizeof(__be32), &sk->__sk_common.skc_rcv_saddr);
		bpf_core_read(&record->remote, sizeof(__be32), &sk->__sk_common.skc_daddr);
	}
}

static __always_inline int is_of_network(struct sock *sk)
{
	struct settings *settings = wanted();
	struct net *net = 0;
	__u32 inum = 0;

	if (!settings || !settings->network)
		return 1;
	bpf_core_read(&net, sizeof(net), &sk->__sk_common.skc_net.net);
	if (net)
		bpf_core_read(&inum, sizeof(inum), &net->ns.inum);
	return inum == settings->network;
}

/* Numbers of x86-64. */
enum {
	WRITE = 1,
	WRITEV = 20,
	SENDFILE = 40,
	MAKE_SOCKET = 41,
	CALL_CONNECT = 42,
	CALL_ACCEPT = 43,
	SENDTO = 44,
	SENDMSG = 46,
	CALL_BIND = 49,
	CALL_LISTEN = 50,
	SPLICE = 275,
	ACCEPT4 = 288,
	SENDMMSG = 307,
};

/*
 * The descriptor that the call is about in which TCP begins to connect or to listen; NO_FD where
 * that is not told. The call itself returns later, and a client may have said all by then.
 */
static __always_inline __s32 descriptor_of_call(struct task_struct *task)
{
	struct pt_regs___x86 *regs = 0;
	unsigned long number;

	if (!bpf_core_field_exists(regs->orig_ax))
		return NO_FD;
	regs = (void *)bpf_task_pt_regs(task);
	if (!regs || task->thread_info.status & TS_COMPAT)
		return NO_FD;
	number = regs->orig_ax;
	/* MSG_FASTOPEN has TCP connect while it sends. */
	return number == CALL_CONNECT || number == SENDTO || number == SENDMSG ||
			       number == CALL_LISTEN ?
		       (__s32)regs->di :
		       NO_FD;
}

SEC("tp_btf/inet_sock_set_state")
int state_changed(__u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	int old = (int)ctx[1], new = (int)ctx[2];
	struct task_struct *task;
	struct record *record;
	struct socket *socket;
	struct file *file;

	/* A child of a listener, which still has the cookie of that: it gets its own later. */
	if (old == TCP_LISTEN && new == TCP_SYN_RECV)
		return 0;
	if (!is_of_network(sk))
		return 0;
	record = begin(STATE);
	if (!record)
		return 0;
	record->cookie = bpf_get_socket_cookie(sk);
	record->old_state = old;
	record->new_state = new;
	write_ends(record, sk);
	socket = sk->sk_socket;
	if (socket) {
		file = socket->file;
		if (file)
			record->inode = file->f_inode->i_ino;
	}
	if (new == TCP_SYN_SENT || new == TCP_LISTEN) {
		task = bpf_get_current_task_btf();
		record->fd = descriptor_of_call(task);
		write_process(record, task);
	}
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}

#define CALL(number) (1ULL << ((number) & 63))
#define SENDING \
	(CALL(WRITE) | CALL(WRITEV) | CALL(SENDFILE) | CALL(SENDTO) | CALL(SENDMSG))

/* Beside its kind: the descriptor is what the call returns; it is told also when it failed. */
enum { RETURNED = 8, FAILED_TOO = 16 };

/* What is known of a call, bit by bit: of those below 64, and of those from 256 on. */
#define LOW(bit) \
	(((SOCKET | RETURNED) & (bit) ? CALL(MAKE_SOCKET) : 0) | \
	 ((CONNECT | FAILED_TOO) & (bit) ? CALL(CALL_CONNECT) : 0) | \
	 ((ACCEPT | RETURNED) & (bit) ? CALL(CALL_ACCEPT) : 0) | \
	 (BIND & (bit) ? CALL(CALL_BIND) : 0) | (SEND & (bit) ? SENDING : 0))
#define HIGH(bit) \
	(((ACCEPT | RETURNED) & (bit) ? CALL(ACCEPT4) : 0) | \
	 (SEND & (bit) ? CALL(SPLICE) | CALL(SENDMMSG) : 0))

#define KNOWN(table, number) \
	((table(1) >> (number) & 1) | (table(2) >> (number) & 1) << 1 | \
	 (table(4) >> (number) & 1) << 2 | (table(8) >> (number) & 1) << 3 | \
	 (table(16) >> (number) & 1) << 4)

/*
 * What a call of this number does, 0 if that is nothing of ours. By arithmetic: of each branch,
 * and of each number known by one, the verifier would follow all that comes after it.
 */
static __always_inline __u8 call_of(unsigned long number)
{
	if (number < 64)
		return KNOWN(LOW, number);
	number -= 256;
	return number < 64 ? KNOWN(HIGH, number) : 0;
}

SEC("tp_btf/sys_exit")
int call_ended(__u64 *ctx)
{
	struct pt_regs___x86 *regs = (void *)ctx[0];
	long result = (long)ctx[1];
	unsigned long number;
	struct task_struct *task;
	struct file **files = 0, *file = 0;
	struct fdtable *table;
	struct socket *socket = 0;
	struct sock *sk = 0;
	struct inode *inode = 0;
	struct record *record;
	struct use use = {};
	unsigned short mode = 0, family;
	__u16 protocol;
	unsigned int fd, limit;
	__u8 call, kind, yes = 1;

	if (!bpf_core_field_exists(regs->orig_ax))
		return 0;
	number = regs->orig_ax;
	call = call_of(number);
	if (!call)
		return 0;
	/* A call that made or sent nothing. A connect that failed has sent all the same. */
	if (result < 0 && !(call & FAILED_TOO))
		return 0;
	kind = call & 7;
	task = bpf_get_current_task_btf();
	if (task->thread_info.status & TS_COMPAT)
		return 0;
	fd = call & RETURNED ? result : number == SPLICE ? regs->dx : regs->di;

	table = task->files->fdt;
	limit = table->max_fds;
	if (fd >= limit)
		return 0;
	bpf_core_read(&files, sizeof(files), &table->fd);
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	if (!file)
		return 0;
	bpf_core_read(&inode, sizeof(inode), &file->f_inode);
	bpf_core_read(&mode, sizeof(mode), &inode->i_mode);
	if ((mode & S_IFMT) != S_IFSOCK)
		return 0;
	bpf_core_read(&use.inode, sizeof(use.inode), &inode->i_ino);
	/* A number is given again; with its start it is one process. */
	use.process = task->group_leader->start_boottime ^ (__u64)task->tgid << 40;
	if (kind == SEND && bpf_map_lookup_elem(&used, &use))
		return 0;

	bpf_core_read(&socket, sizeof(socket), &file->private_data);
	bpf_core_read(&sk, sizeof(sk), &socket->sk);
	if (!sk)
		return 0;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	protocol = BPF_CORE_READ(sk, sk_protocol);
	if ((family == AF_INET || family == AF_INET6) &&
	    (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) && is_of_network(sk)) {
		record = begin(kind);
		if (!record)
			return 0;
		record->fd = fd;
		record->inode = use.inode;
		record->cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
		record->new_state = BPF_CORE_READ(sk, __sk_common.skc_state);
		write_ends(record, sk);
		write_process(record, task);
		bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	}
	if (kind == SEND)
		bpf_map_update_elem(&used, &use, &yes, 0);
	return 0;
}

/* Whose child a process is, while there is somebody to ask. Threads are no processes. */
SEC("tp_btf/sched_process_fork")
int process_begun(__u64 *ctx)
{
	struct task_struct *parent = (void *)ctx[0], *child = (void *)ctx[1];
	struct settings *settings = wanted();
	struct record *record;

	if (!settings || !settings->forks || parent->tgid == child->tgid)
		return 0;
	record = begin(FORK);
	if (!record)
		return 0;
	record->user = number_in(parent->group_leader, settings->pid_namespace);
	write_process(record, child);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int program_begun(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	__u32 process = task->tgid;
	struct record *record;

	if (!bpf_map_lookup_elem(&told, &process))
		return 0;
	record = begin(EXEC);
	if (!record)
		return 0;
	write_process(record, task);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int process_ended(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	__u32 process = task->tgid;
	struct record *record;

	/* Other threads live on. */
	if (task->signal->live.counter > 0 || !bpf_map_lookup_elem(&told, &process))
		return 0;
	bpf_map_delete_elem(&told, &process);
	record = begin(EXIT);
	if (!record)
		return 0;
	write_process(record, task);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
