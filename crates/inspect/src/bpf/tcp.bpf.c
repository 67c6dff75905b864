// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The TCP sockets of the reader's network namespace that have one of the wanted ports on their
 * side: one fixed record each (tcp_record.rs), with the flags that sock_diag does not tell. Also
 * of those that nobody holds any more, such as TIME_WAIT (net/ipv4/tcp_ipv4.c, Linux 5.8 and
 * newer); not of those that are bound and no more.
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
#include <bpf/bpf_endian.h>

#define KERNEL __attribute__((preserve_access_index))
#define AF_INET6 10
#define ADDRESS_LENGTH 16

struct in6_addr {
	__u8 bytes[ADDRESS_LENGTH];
};

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	unsigned char skc_reuse : 4;
	unsigned char skc_reuseport : 1;
	unsigned char skc_ipv6only : 1;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
} KERNEL;

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
} KERNEL;

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
} KERNEL;

enum {
	REUSE_ADDRESS = 1,
	REUSE_PORT = 2,
	V6_ONLY = 4,
	V6 = 8,
};

/* tcp_record.rs reads this; sizes and order are the agreement. */
struct record {
	__u8 local[ADDRESS_LENGTH]; /* of IPv4 the first four */
	__u8 remote[ADDRESS_LENGTH];
	__u16 local_port;
	__u16 remote_port;
	__u32 flags;
};

/* The ports asked for; the loader sets how many. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, __u8);
} wanted SEC(".maps");

SEC("iter/tcp")
int sockets_of_ports(struct bpf_iter__tcp *ctx)
{
	struct sock_common *sk = ctx->sk_common;
	struct record record = {};
	__u64 port;

	if (!sk)
		return 0;
	port = sk->skc_num;
	if (!bpf_map_lookup_elem(&wanted, &port))
		return 0;
	record.local_port = port;
	record.remote_port = bpf_ntohs(sk->skc_dport);
	if (sk->skc_family == AF_INET6) {
		record.flags |= V6;
		bpf_core_read(&record.local, ADDRESS_LENGTH, &sk->skc_v6_rcv_saddr);
		bpf_core_read(&record.remote, ADDRESS_LENGTH, &sk->skc_v6_daddr);
	} else {
		bpf_core_read(&record.local, sizeof(__be32), &sk->skc_rcv_saddr);
		bpf_core_read(&record.remote, sizeof(__be32), &sk->skc_daddr);
	}
	if (BPF_CORE_READ_BITFIELD(sk, skc_reuse))
		record.flags |= REUSE_ADDRESS;
	if (BPF_CORE_READ_BITFIELD(sk, skc_reuseport))
		record.flags |= REUSE_PORT;
	if (BPF_CORE_READ_BITFIELD(sk, skc_ipv6only))
		record.flags |= V6_ONLY;
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
