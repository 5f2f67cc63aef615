#!/usr/bin/env bash
# A real OpenStack (Zed) from Debian 12's packages, on loopback, without docker,
# systemd or a prompt: Keystone, Glance, Placement, Nova with the fake driver,
# Neutron.
#
#   openstack.sh install        get the packages (root, the Debian mirror)
#   openstack.sh within CMD…    raise it and run CMD beside it
#
# "within" has to be started in namespaces of its own, and ends with them:
#
#   unshare --mount --net --pid --fork --kill-child --mount-proc openstack.sh within CMD…
#
# Everything it writes is on a tmpfs of that mount namespace, every process is
# in that pid namespace: whatever way it ends, nothing is left. CMD finds
# clouds.yaml at $OPENSTACK/clouds.yaml with the clouds osdev (alice, a member of
# project CH-000000) and osdev-admin. The catalogue says that compute is at port
# 8775 and reservation at 1234: CMD is to serve both (see openstack.go).
set -euo pipefail
S=/run/openstack       # state
E=$S/etc
H=127.0.0.1
PASSWORD=${OPENSTACK_PASSWORD:-osdev}
NODES="node1 node2 node3"
IMAGES="CC-Ubuntu22.04 CC-Ubuntu20.04-20231115"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin
export MALLOC_ARENA_MAX=2 PYTHONWARNINGS=ignore OPENSTACK=$S
PACKAGES="mariadb-server rabbitmq-server keystone glance-api placement-api nova-api nova-conductor
 nova-scheduler python3-nova neutron-common python3-neutron python3-openstacksdk python3-pymysql
 python3-memcache memcached uwsgi-core uwsgi-plugin-python3 iproute2 procps openssh-server"

say() { printf '[openstack %3ds] %s\n' "$SECONDS" "$*" >&2; }
die() { say "$*"; exit 1; }

install_packages() {
	local ours="" log
	log=$(mktemp)
	# Keeps the packages from starting anything; absent before, absent after.
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
		chmod +x /usr/sbin/policy-rc.d
		ours=1
	fi
	local code=0
	{
		apt-get update -qq
		# shellcheck disable=SC2086 # a list of names
		apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=600 \
			-o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 $PACKAGES
	} </dev/null >"$log" 2>&1 || code=$?
	[ -z "$ours" ] || rm -f /usr/sbin/policy-rc.d
	[ $code = 0 ] || { tail -40 "$log" >&2; rm -f "$log"; die "the packages could not be installed"; }
	rm -f "$log"
	say "packages installed"
}

# --- processes ---------------------------------------------------------------

# start NAME COMMAND…: in the background, its output in log/NAME.
start() {
	local name=$1
	shift
	setsid "$@" >>"$S/log/$name" 2>&1 </dev/null &
	echo $! >"$S/run/$name"
}

alive() { kill -0 "$(cat "$S/run/$1")" 2>/dev/null || { tail -30 "$S/log/$1" >&2; die "$1 has ended"; }; }

# answers NAME URL: until the application answers, not only its socket. uWSGI
# listens seconds before it has loaded the application.
answers() {
	local i
	for ((i = 0; i < 600; i++)); do
		case $(python3 -c '
import sys, urllib.request, urllib.error
try: print(urllib.request.urlopen(sys.argv[1], timeout=20).status)
except urllib.error.HTTPError as e: print(e.code)
except Exception: print(0)' "$2") in 200 | 300 | 401) return ;; esac
		alive "$1"
		sleep 0.2
	done
	tail -30 "$S/log/$1" >&2
	die "$1 does not answer at $2"
}

opens() { # NAME PORT
	local i
	for ((i = 0; i < 900; i++)); do
		if (exec 3<>/dev/tcp/$H/"$2") 2>/dev/null; then return; fi
		alive "$1"
		sleep 0.1
	done
	die "$1 did not open port $2"
}

sql() { mariadb --socket=$S/run/mysql.sock -uroot "$@"; }
database() { echo "mysql+pymysql://root@localhost/$1?unix_socket=$S/run/mysql.sock&charset=utf8"; }

infrastructure() {
	mariadb-install-db --no-defaults --user=root --auth-root-authentication-method=normal \
		--skip-test-db --datadir=$S/mysql >$S/log/mysql-install 2>&1
	start mysql mariadbd --no-defaults --user=root --datadir=$S/mysql --socket=$S/run/mysql.sock \
		--pid-file=$S/run/mysqld.pid --skip-networking --max-connections=800 --skip-log-bin \
		--innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 --innodb-flush-method=nosync \
		--innodb-buffer-pool-size=128M --innodb-log-file-size=32M --character-set-server=utf8mb3
	# Without memcached Keystone takes a second for every token it checks.
	start memcached memcached -u root -l $H -p 11211 -m 64
	cat >$S/rabbit/rabbitmq.conf <<-EOC
		listeners.tcp.1 = $H:5672
		loopback_users.guest = true
		disk_free_limit.absolute = 50MB
		vm_memory_high_watermark.absolute = 512MB
		log.file.level = warning
	EOC
	export HOME=$S/rabbit # where Erlang keeps its cookie
	start epmd epmd -address $H
	start rabbit env ERL_EPMD_ADDRESS=$H RABBITMQ_NODENAME=rabbit@localhost \
		RABBITMQ_CONFIG_FILE=$S/rabbit/rabbitmq.conf RABBITMQ_CONF_ENV_FILE=/dev/null \
		RABBITMQ_MNESIA_BASE=$S/rabbit/mnesia RABBITMQ_LOG_BASE=$S/log RABBITMQ_PID_FILE=$S/run/rabbit-erl \
		RABBITMQ_ENABLED_PLUGINS_FILE=$S/rabbit/enabled_plugins \
		RABBITMQ_SERVER_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none" \
		/usr/lib/rabbitmq/bin/rabbitmq-server
	local i
	for ((i = 0; i < 300; i++)); do
		sql -e 'select 1' >/dev/null 2>&1 && break
		alive mysql
		sleep 0.1
	done
}

# --- configuration -----------------------------------------------------------

# login SECTION USER: how a service logs in at Keystone.
login() {
	cat <<-EOC
		[$1]
		auth_url = http://$H:5000/v3
		auth_type = password
		project_domain_name = Default
		user_domain_name = Default
		project_name = service
		username = $2
		password = $PASSWORD
		region_name = RegionOne
		valid_interfaces = public
	EOC
}

# checks_tokens USER: how a service checks the tokens of requests. The folder of
# policies is empty, which spares it Debian's 100 KB of defaults.
checks_tokens() {
	login keystone_authtoken "$1"
	cat <<-EOC
		www_authenticate_uri = http://$H:5000/v3
		service_token_roles_required = true
		service_token_roles = admin
		memcached_servers = $H:11211
		[oslo_policy]
		policy_dirs = $E/policy.d
	EOC
}

configure() {
	local rabbit="rabbit://guest:guest@$H:5672/"
	cat >$E/keystone.conf <<-EOC
		[DEFAULT]
		public_endpoint = http://$H:5000/
		[database]
		connection = $(database keystone)
		[token]
		provider = fernet
		[fernet_tokens]
		key_repository = $E/fernet-keys
		[credential]
		key_repository = $E/credential-keys
		[cache]
		enabled = true
		backend = dogpile.cache.memcached
		memcache_servers = $H:11211
		[oslo_policy]
		policy_dirs = $E/policy.d
		[identity]
		password_hash_rounds = 4
	EOC
	cat >$E/glance.conf <<-EOC
		[DEFAULT]
		bind_host = $H
		bind_port = 9292
		workers = 1
		enabled_backends = fs:file
		[database]
		connection = $(database glance)
		$(checks_tokens glance)
		[paste_deploy]
		flavor = keystone
		config_file = /usr/share/glance-common/glance-api-paste.ini
		[glance_store]
		default_backend = fs
		[fs]
		filesystem_store_datadir = $S/images
		[oslo_concurrency]
		lock_path = $S/lock
	EOC
	cat >$E/placement/placement.conf <<-EOC
		[placement_database]
		connection = $(database placement)
		$(checks_tokens placement)
		[api]
		auth_strategy = keystone
	EOC
	# Users may name the host of an instance: Blazar's filter is not in Debian,
	# so what stands before Nova turns a reservation into a host.
	cat >$E/nova-policy.yaml <<-EOC
		"os_compute_api:servers:create:forced_host": ""
	EOC
	# A bare-metal node is used once and never overcommitted. Fake nodes are
	# never plugged, so nothing is waited for.
	cat >$E/nova.conf <<-EOC
		[DEFAULT]
		my_ip = $H
		host = ctl
		state_path = $S/nova
		instances_path = $S/nova/instances
		transport_url = $rabbit
		enabled_apis = osapi_compute
		osapi_compute_listen = $H
		osapi_compute_workers = 2
		force_config_drive = false
		compute_driver = fake.FakeDriver
		vif_plugging_is_fatal = false
		vif_plugging_timeout = 0
		cpu_allocation_ratio = 1.0
		ram_allocation_ratio = 1.0
		disk_allocation_ratio = 1.0
		service_down_time = 60
		report_interval = 10
		[api_database]
		connection = $(database nova_api)
		[database]
		connection = $(database nova)
		[api]
		auth_strategy = keystone
		[wsgi]
		api_paste_config = /usr/share/nova-common/api-paste.ini
		$(checks_tokens nova)
		policy_file = $E/nova-policy.yaml
		$(login service_user nova)
		send_service_user_token = true
		$(login placement placement)
		$(login neutron neutron)
		$(login glance nova)
		[conductor]
		workers = 1
		[scheduler]
		workers = 1
		discover_hosts_in_cells_interval = 10
		[filter_scheduler]
		enabled_filters = ComputeFilter,ComputeCapabilitiesFilter,ImagePropertiesFilter,SameHostFilter,DifferentHostFilter
		[oslo_concurrency]
		lock_path = $S/lock
		[vnc]
		enabled = false
		[spice]
		enabled = false
		[workarounds]
		skip_cpu_compare_at_startup = true
		[quota]
		cores = -1
		ram = -1
		instances = -1
	EOC
	cat >$E/neutron.conf <<-EOC
		[DEFAULT]
		bind_host = $H
		bind_port = 9696
		core_plugin = ml2
		service_plugins = router
		auth_strategy = keystone
		transport_url = $rabbit
		state_path = $S/neutron
		api_workers = 1
		rpc_workers = 1
		rpc_state_report_workers = 0
		api_paste_config = /usr/share/neutron-common/api-paste.ini
		agent_down_time = 300
		notify_nova_on_port_status_changes = false
		notify_nova_on_port_data_changes = false
		[database]
		connection = $(database neutron)
		$(checks_tokens neutron)
		$(login nova nova)
		[oslo_concurrency]
		lock_path = $S/lock
		[experimental]
		linuxbridge = true
	EOC
	cat >$E/ml2.ini <<-EOC
		[ml2]
		type_drivers = flat,vxlan
		tenant_network_types = vxlan
		mechanism_drivers = linuxbridge
		extension_drivers = port_security
		[ml2_type_flat]
		flat_networks = physnet1,public
		[ml2_type_vxlan]
		vni_ranges = 1:1000
		[securitygroup]
		enable_ipset = false
	EOC
	# Neutron binds a port only on a host with a live agent; this reports one
	# for every fake node, and does nothing else.
	cat >$E/agents.py <<-'EOC'
		import sys, time
		import eventlet; eventlet.monkey_patch()
		from oslo_config import cfg
		from neutron_lib import context
		from neutron_lib.agent import topics
		from neutron.common import config
		from neutron.agent import rpc
		from neutron.conf.agent import common
		common.register_agent_state_opts_helper(cfg.CONF)
		config.register_common_config_options()
		config.init(sys.argv[2:])
		config.setup_logging()
		api = rpc.PluginReportStateAPI(topics.REPORTS)
		admin = context.get_admin_context_without_session()
		new = set(sys.argv[1].split())
		while True:
		    for node in sys.argv[1].split():
		        state = {'binary': 'neutron-linuxbridge-agent', 'host': node, 'topic': 'N/A',
		                 'agent_type': 'Linux bridge agent', 'resource_versions': {},
		                 'configurations': {'devices': 0, 'extensions': [], 'bridge_mappings': {},
		                                    'interface_mappings': {'physnet1': 'lo', 'public': 'lo'},
		                                    'tunnel_types': ['vxlan'], 'tunneling_ip': '127.0.0.1'}}
		        if node in new: state['start_flag'] = True
		        try:
		            api.report_state(admin, state, use_call=True)
		            new.discard(node)
		        except Exception as e:
		            print(node, e, flush=True)
		    time.sleep(1 if new else 30)
	EOC
	# The package nova-compute would bring libvirt and qemu.
	printf 'import sys\nfrom nova.cmd.compute import main\nsys.exit(main())\n' >$E/compute.py
	local n
	for n in $NODES; do
		mkdir -p $S/nova/$n/instances
		printf '[DEFAULT]\nhost = %s\nstate_path = %s\ninstances_path = %s\n' $n $S/nova/$n $S/nova/$n/instances >$E/$n.conf
	done
	cloud() { # NAME USER PROJECT
		cat <<-EOC
			  $1:
			    auth: {auth_url: "http://$H:5000/v3", username: $2, password: "$PASSWORD", project_name: $3, user_domain_name: Default, project_domain_name: Default}
			    region_name: RegionOne
			    identity_api_version: 3
		EOC
	}
	{ echo clouds:; cloud osdev-admin admin admin; cloud osdev alice CH-000000; } >$S/clouds.yaml
}

databases() {
	local d
	for d in keystone glance placement nova_api nova nova_cell0 neutron; do
		echo "CREATE DATABASE $d CHARACTER SET utf8mb3;"
	done | sql
	local jobs=()
	(
		keystone-manage --config-file $E/keystone.conf fernet_setup --keystone-user root --keystone-group root
		keystone-manage --config-file $E/keystone.conf credential_setup --keystone-user root --keystone-group root
		keystone-manage --config-file $E/keystone.conf db_sync
		keystone-manage --config-file $E/keystone.conf bootstrap --bootstrap-password "$PASSWORD" \
			--bootstrap-admin-url http://$H:5000/v3/ --bootstrap-internal-url http://$H:5000/v3/ \
			--bootstrap-public-url http://$H:5000/v3/ --bootstrap-region-id RegionOne
	) >$S/log/sync-keystone 2>&1 &
	jobs+=($!)
	neutron-db-manage --config-file $E/neutron.conf --config-file $E/ml2.ini upgrade heads >$S/log/sync-neutron 2>&1 &
	jobs+=($!)
	wait "${jobs[0]}" || { tail -20 $S/log/sync-keystone >&2; die "Keystone's database"; }
	(
		glance-manage --config-file $E/glance.conf db_sync
		placement-manage --config-file $E/placement/placement.conf db sync
	) >$S/log/sync-glance 2>&1 &
	jobs+=($!)
	(
		nova-manage --config-file $E/nova.conf api_db sync
		nova-manage --config-file $E/nova.conf cell_v2 map_cell0 --database_connection "$(database nova_cell0)"
		nova-manage --config-file $E/nova.conf cell_v2 create_cell --name cell1
		nova-manage --config-file $E/nova.conf db sync
	) >$S/log/sync-nova 2>&1 &
	jobs+=($!)
	local j
	for j in "${jobs[@]:1}"; do wait "$j" || { tail -n 20 $S/log/sync-* >&2; die "the databases"; }; done
}

# served NAME PORT ENV=… APP: uWSGI drops a connection after each reply without
# saying so, unless it is told to say it.
served() {
	start "$1" env "$3" uwsgi --plugin python3 --http-socket $H:"$2" --wsgi-file "$4" --master --die-on-term \
		--processes 2 --threads 2 --enable-threads --lazy-apps --buffer-size 65535 --need-app --disable-logging \
		--add-header "Connection: close"
}

# with the SDK, as administrator
python() { OS_CLIENT_CONFIG_FILE=$S/clouds.yaml PASSWORD=$PASSWORD python3 - "$@"; }

catalogue() {
	python <<-'EOC'
		import os, openstack
		i = openstack.connect(cloud='osdev-admin').identity
		password = os.environ['PASSWORD']
		service, admin = i.create_project(name='service', domain_id='default'), i.find_role('admin')
		H = 'http://127.0.0.1'
		for name, (kind, url) in {
		        'glance': ('image', f'{H}:9292'), 'placement': ('placement', f'{H}:8778'),
		        'nova': ('compute', f'{H}:8775/v2.1'), 'neutron': ('network', f'{H}:9696'),
		        'blazar': ('reservation', f'{H}:1234/v1')}.items():
		    user = i.create_user(name=name, password=password, domain_id='default')
		    i.assign_project_role_to_user(service, user, admin)
		    s = i.create_service(name=name, type=kind)
		    i.create_endpoint(service_id=s.id, interface='public', url=url, region_id='RegionOne')
		project = i.create_project(name='CH-000000', domain_id='default')
		alice = i.create_user(name='alice', password=password, domain_id='default')
		for role in ('member', 'reader'):
		    i.assign_project_role_to_user(project, alice, i.find_role(role))
	EOC
}

# The fake driver offers 1000 processors a node; an instance takes them all, so
# that it fills one node as bare metal does.
site() {
	python "$IMAGES" <<-'EOC'
		import sys, openstack
		a = openstack.connect(cloud='osdev-admin', compute_endpoint_override='http://127.0.0.1:8774/v2.1')
		a.compute.create_flavor(name='baremetal', vcpus=1000, ram=1024, disk=10, flavor_id='baremetal')
		for name in sys.argv[1].split():
		    a.image.create_image(name, data=b'\0'*65536, disk_format='raw', container_format='bare',
		                         visibility='public', validate_checksum=False)
		n = a.network
		public = n.create_network(name='public', is_router_external=True, provider_network_type='flat',
		                          provider_physical_network='public')
		n.create_subnet(network_id=public.id, ip_version=4, cidr='192.0.2.0/24', gateway_ip='192.0.2.1',
		                is_dhcp_enabled=False, allocation_pools=[{'start': '192.0.2.10', 'end': '192.0.2.99'}])
		shared = n.create_network(name='sharednet1', is_shared=True, provider_network_type='flat',
		                          provider_physical_network='physnet1')
		subnet = n.create_subnet(network_id=shared.id, ip_version=4, cidr='10.52.0.0/22',
		                         gateway_ip='10.52.0.1', is_dhcp_enabled=False)
		r = n.create_router(name='router', external_gateway_info={'network_id': public.id})
		n.add_interface_to_router(r, subnet_id=subnet.id)
	EOC
}

computes_up() {
	local i
	for ((i = 0; i < 120; i++)); do
		[ "$(sql -N -e 'select count(*) from nova.compute_nodes' 2>/dev/null)" = 3 ] && break
		sleep 0.5
	done
	nova-manage --config-file $E/nova.conf cell_v2 discover_hosts >>$S/log/sync-nova 2>&1
	python "$NODES" <<-'EOC' || die "the compute nodes do not come up"
		import sys, time, openstack
		c = openstack.connect(cloud='osdev-admin', compute_endpoint_override='http://127.0.0.1:8774/v2.1')
		want = set(sys.argv[1].split())
		for _ in range(240):
		    up = {s.host for s in c.compute.services(binary='nova-compute') if s.state == 'up'}
		    agents = {a.host for a in c.network.agents() if a.is_alive}
		    if want <= up and want <= agents and want <= {h.name for h in c.compute.hypervisors()}: sys.exit(0)
		    time.sleep(0.5)
		sys.exit(1)
	EOC
}

raise() {
	mkdir -p $S/{run,log,mysql,rabbit,images,lock,neutron,nova/instances} $E/{policy.d,placement}
	infrastructure
	configure
	opens rabbit 5672
	say "MariaDB, RabbitMQ, memcached"
	databases
	say "databases"
	served keystone 5000 OS_KEYSTONE_CONFIG_FILES=$E/keystone.conf /usr/bin/keystone-wsgi-public
	served placement 8778 OS_PLACEMENT_CONFIG_DIR=$E/placement /usr/bin/placement-api
	answers keystone http://$H:5000/v3
	catalogue
	say "Keystone"
	start glance glance-api --config-file $E/glance.conf
	start neutron neutron-server --config-file $E/neutron.conf --config-file $E/ml2.ini
	start nova-conductor nova-conductor --config-file $E/nova.conf
	start nova-scheduler nova-scheduler --config-file $E/nova.conf
	start nova-api nova-api --config-file $E/nova.conf
	answers placement http://$H:8778/
	answers glance http://$H:9292/versions
	answers neutron http://$H:9696/
	start agents python3 $E/agents.py "$NODES" --config-file $E/neutron.conf
	answers nova-api http://$H:8774/
	local n
	for n in $NODES; do start compute-$n python3 $E/compute.py --config-file $E/nova.conf --config-file $E/$n.conf; done
	say "Glance, Neutron, Nova"
	site
	computes_up
	say "ready: $NODES"
}

within() {
	[ $$ = 1 ] || die "must be the first process of a pid namespace: see the head of this file"
	mount -t tmpfs -o mode=755 tmpfs /run
	mkdir -p $S /run/sshd /run/lock
	# The images' user; instances are namespaces of this machine.
	local f
	for f in passwd shadow; do cp -p /etc/$f /run/$f; done
	echo 'cc:x:4999:4999::/home/cc:/bin/bash' >>/run/passwd
	echo 'cc:*:19000:0:99999:7:::' >>/run/shadow
	for f in passwd shadow; do mount --bind /run/$f /etc/$f; done
	ip link set lo up
	raise
	local code=0
	"$@" || code=$?
	exit $code
}

case ${1:-} in
install) install_packages ;;
within) shift; within "$@" ;;
*) sed -n '2,20p' "$0" >&2; exit 2 ;;
esac
