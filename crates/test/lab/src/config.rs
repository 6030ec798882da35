//! The files that make a node a member: corosync.conf, hosts, cib.xml.

use std::fmt::{self, Write};

use scenario::Resource;

use crate::NET;
use crate::spec::Spec;

/// The token timeout, ms: short, so that a lost node is seen in seconds.
const TOKEN_MS: u32 = 1000;

/// A node's address.
pub(crate) fn address(node: u32) -> String {
    format!("10.{NET}.0.{node}")
}

/// The switch's own address, from which a floating address can be tried.
pub(crate) fn switch_address() -> String {
    format!("10.{NET}.0.254")
}

/// /etc/corosync/corosync.conf.
pub(crate) fn corosync_conf(spec: &Spec) -> String {
    let mut nodes = String::new();
    for node in 1..=spec.nodes {
        let address = address(node);
        let _ = write!(
            nodes,
            "    node {{\n        nodeid: {node}\n        name: n{node}\n        ring0_addr: {address}\n    }}\n"
        );
    }
    let extra = match spec.transport.as_str() {
        "knet" => "    crypto_cipher: aes256\n    crypto_hash: sha256\n".to_string(),
        "udp" => format!(
            "    interface {{\n        ringnumber: 0\n        bindnetaddr: 10.{NET}.0.0\n        mcastaddr: 239.255.{NET}.1\n        mcastport: 5405\n    }}\n"
        ),
        _ => String::new(),
    };
    let two_node = if spec.nodes == 2 { "    two_node: 1\n" } else { "" };
    format!(
        "totem {{
    version: 2
    cluster_name: lab
    transport: {transport}
    token: {TOKEN_MS}
    token_coefficient: 0
{extra}}}
nodelist {{
{nodes}}}
quorum {{
    provider: corosync_votequorum
{two_node}}}
logging {{
    to_logfile: yes
    logfile: /var/log/corosync/corosync.log
    to_syslog: no
    to_stderr: no
    timestamp: hires
}}
",
        transport = spec.transport
    )
}

/// /etc/hosts.
pub(crate) fn hosts(nodes: u32) -> String {
    let lines = (1..=nodes).map(|node| format!("{} n{node}\n", address(node)));
    format!("127.0.0.1 localhost\n{}", lines.collect::<String>())
}

/// The cluster state that every node begins with: with it the nodes need not be
/// configured one command at a time, and a DC is elected within seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cib {
    /// How many nodes can be fenced.
    pub nodes: u32,
    /// Whether there is a fencing device.
    pub fencing: bool,
    /// Cluster properties.
    pub properties: Vec<(String, String)>,
    /// Primitive resources.
    pub resources: Vec<Resource>,
    /// Groups and their members in order.
    pub groups: Vec<(String, Vec<String>)>,
}

impl fmt::Display for Cib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "<cib crm_feature_set=\"3.16.1\" validate-with=\"pacemaker-3.9\" epoch=\"1\" num_updates=\"0\" admin_epoch=\"0\">"
        )?;
        write!(
            f,
            "<configuration><crm_config><cluster_property_set id=\"cib-bootstrap-options\">"
        )?;
        let on_off = if self.fencing { "true" } else { "false" };
        for (name, value) in [("dc-deadtime", "2s"), ("stonith-enabled", on_off)] {
            if !self.properties.iter().any(|(given, _)| given == name) {
                nvpair(f, "option", name, value)?;
            }
        }
        for (name, value) in &self.properties {
            nvpair(f, "option", name, value)?;
        }
        writeln!(f, "</cluster_property_set></crm_config><nodes/><resources>")?;
        if self.fencing {
            fencing_device(f, self.nodes)?;
        }
        for (group, members) in &self.groups {
            writeln!(f, "<group id=\"{}\">", escape(group))?;
            for resource in members.iter().filter_map(|id| self.resource(id)) {
                primitive(f, resource)?;
            }
            writeln!(f, "</group>")?;
        }
        let grouped = |id: &String| self.groups.iter().any(|(_, members)| members.contains(id));
        for resource in self.resources.iter().filter(|r| !grouped(&r.id)) {
            primitive(f, resource)?;
        }
        writeln!(f, "</resources><constraints/></configuration><status/></cib>")
    }
}

impl Cib {
    fn resource(&self, id: &str) -> Option<&Resource> {
        self.resources.iter().find(|r| r.id == id)
    }
}

fn fencing_device(f: &mut fmt::Formatter<'_>, nodes: u32) -> fmt::Result {
    let list: Vec<String> = (1..=nodes).map(|n| format!("n{n}")).collect();
    write!(f, "<primitive id=\"fencing\" class=\"stonith\" type=\"fence_lab\">")?;
    write!(f, "<instance_attributes id=\"fencing-params\">")?;
    nvpair(f, "fencing", "pcmk_host_check", "static-list")?;
    nvpair(f, "fencing", "pcmk_host_list", &list.join(" "))?;
    writeln!(f, "</instance_attributes></primitive>")
}

fn primitive(f: &mut fmt::Formatter<'_>, resource: &Resource) -> fmt::Result {
    let id = escape(&resource.id);
    let mut parts = resource.agent.splitn(3, ':').map(escape);
    let mut part = || parts.next().unwrap_or_default();
    let (class, provider, kind) = (part(), part(), part());
    write!(f, "<primitive id=\"{id}\" class=\"{class}\" provider=\"{provider}\" type=\"{kind}\">")?;
    write!(f, "<instance_attributes id=\"{id}-params\">")?;
    for (name, value) in &resource.params {
        nvpair(f, &resource.id, name, &value.replace("{net}", &NET.to_string()))?;
    }
    write!(f, "</instance_attributes><operations>")?;
    for (op, interval) in [("monitor", "10s"), ("start", "0s"), ("stop", "0s")] {
        write!(f, "<op id=\"{id}-{op}\" name=\"{op}\" interval=\"{interval}\" timeout=\"20s\"/>")?;
    }
    writeln!(f, "</operations></primitive>")
}

fn nvpair(f: &mut fmt::Formatter<'_>, owner: &str, name: &str, value: &str) -> fmt::Result {
    let (owner, name, value) = (escape(owner), escape(name), escape(value));
    write!(f, "<nvpair id=\"{owner}-{name}\" name=\"{name}\" value=\"{value}\"/>")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cib_holds_what_was_asked_for() {
        let vip = Resource {
            id: "vip".into(),
            agent: "ocf:heartbeat:IPaddr2".into(),
            params: vec![("ip".into(), "10.{net}.0.100".into())],
        };
        let mut cib = Cib { nodes: 2, fencing: true, resources: vec![vip], ..Cib::default() };
        cib.groups.push(("web".into(), vec!["vip".into()]));
        cib.properties.push(("dc-deadtime".into(), "5s & more".into()));
        let text = cib.to_string();
        assert!(text.contains("value=\"10.77.0.100\""), "{text}");
        assert!(text.contains("<group id=\"web\">\n<primitive id=\"vip\""), "{text}");
        assert_eq!(text.matches("<primitive ").count(), 2, "{text}");
        assert!(text.contains("value=\"n1 n2\""), "{text}");
        assert_eq!(text.matches("name=\"dc-deadtime\"").count(), 1, "{text}");
        assert!(text.contains("5s &amp; more"), "{text}");
        cib.fencing = false;
        assert!(!cib.to_string().contains("fence_lab"));
    }

    #[test]
    fn each_transport_has_what_it_needs() {
        let mut spec = Spec::new(2);
        assert!(corosync_conf(&spec).contains("two_node: 1"));
        spec.transport = "knet".into();
        assert!(corosync_conf(&spec).contains("crypto_hash: sha256"));
        spec.transport = "udp".into();
        spec.nodes = 3;
        assert!(corosync_conf(&spec).contains("mcastaddr: 239.255.77.1"));
        assert!(!corosync_conf(&spec).contains("two_node"));
    }
}
