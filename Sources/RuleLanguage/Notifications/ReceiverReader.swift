import RuleEngine

/// `receivers`: their names and channels.
struct ReceiverReader {
    let reading: FileReading
    /// Of plugins, from the configuration: what holds where a receiver does not say otherwise.
    var settings: [String: PluginValues] = [:]

    /// Channels of Alertmanager and of ours that this version has not.
    private static let otherChannels = [
        "email", "amqp", "slack", "telegram", "ntfy", "pagerduty", "discord", "msteams", "msteamsv2", "opsgenie", "pushover", "sns",
        "victorops",
        "webex", "wechat", "rocketchat", "jira", "incidentio", "mattermost", "gotify", "teams",
    ]
    private static let pluginsOfOthers = [
        "slack": "slack", "telegram": "telegram", "ntfy": "ntfy", "pagerduty": "pagerduty", "discord": "discord", "msteams": "teams",
        "msteamsv2": "teams", "teams": "teams", "gotify": "gotify",
    ]
    private var keys: [KnownKey] {
        let provided = reading.plugins.names(.channel)
        return (["webhook", "log", "mqtt"] + provided).reduce(into: [KnownKey("name")]) { $0.append(KnownKey("\($1)_configs")) }
            + Self.otherChannels.filter { !provided.contains($0) }.map(otherChannel) + [.notSupported("budget")]
    }

    /// Of Alertmanager's own channels some are plugins here, which may not be installed.
    private func otherChannel(_ name: String) -> KnownKey {
        guard let plugin = Self.pluginsOfOthers[name] else { return .notSupported("\(name)_configs", unlessEmpty: true) }
        let isThere = reading.plugins.find(.channel, plugin) != nil
        var key = KnownKey(
            "\(name)_configs",
            refused: isThere
                ? "'\(name)_configs' is called '\(plugin)_configs' here"
                : "'\(name)_configs' needs the plugin '\(plugin)', which is not installed")
        key.allowsEmpty = true
        return key
    }

    /// The receivers that have a name; what is wrong with them has been reported.
    func read(_ node: YAMLNode) -> [Receiver] {
        var first: [String: Range<Int>] = [:]
        return (reading.list(node, "receivers") ?? []).compactMap { item in
            guard let mapping = MappingReader(item, subject: "a receiver", keys: keys, in: reading) else { return nil }
            let channels = channels(mapping)
            guard let node = mapping.required("name"), let name = reading.name(node, "name") else { return nil }
            if let other = first[name] {
                reading.report(
                    "duplicate-receiver", "receivers' names must be unique: '\(name)'", at: node.range,
                    notes: ["the first one stands at \(reading.place(other))"])
            } else {
                first[name] = node.range
            }
            return Receiver(name: name, channels: channels)
        }
    }

    private func channels(_ mapping: MappingReader) -> [ChannelConfiguration] {
        let channels = ChannelReader(reading: reading)
        func all(_ key: String, _ read: (YAMLNode) -> ChannelConfiguration?) -> [ChannelConfiguration] {
            (mapping[key].flatMap { reading.list($0, key) } ?? []).compactMap(read)
        }
        let own = all("webhook_configs", channels.webhook) + all("log_configs", channels.log) + all("mqtt_configs", channels.mqtt)
        return reading.plugins.names(.channel).reduce(into: own) { found, name in
            found += all("\(name)_configs") { plugin($0, channel: name) }
        }
    }

    /// One entry of `<plugin>_configs`.
    private func plugin(_ node: YAMLNode, channel: String) -> ChannelConfiguration? {
        guard let manifest = reading.plugins.find(.channel, channel)?.manifest else { return nil }
        let keys = PluginValuesReader.keys(manifest.settings) + ["send_resolved", "timeout"].map { KnownKey($0) }
        guard let mapping = MappingReader(node, subject: "an entry of '\(channel)_configs'", keys: keys, in: reading) else { return nil }
        let values = PluginValuesReader(reading: reading).values(
            mapping, manifest.settings, over: settings[manifest.name] ?? PluginValues())
        let sendResolved = mapping["send_resolved"].flatMap { reading.bool($0, "send_resolved") } ?? true
        let timeout = mapping["timeout"].flatMap { reading.duration($0, "timeout", atLeast: .milliseconds(1)) } ?? .seconds(10)
        return .plugin(
            PluginChannelConfiguration(
                channel: channel, plugin: manifest.name, values: values, sendResolved: sendResolved, timeout: timeout))
    }
}

/// One entry of `webhook_configs`, `log_configs` or `mqtt_configs`.
struct ChannelReader {
    let reading: FileReading

    private static let webhookKeys = ["url", "url_file", "send_resolved", "http_config", "max_alerts", "timeout"].map { KnownKey($0) }
    private static let mqttKeys = ["topic", "payload", "qos", "retain", "send_resolved"].map { KnownKey($0) }
    private static let httpKeys =
        ["basic_auth", "authorization", "tls_config"].map { KnownKey($0) }
        + ["bearer_token", "bearer_token_file"].map { KnownKey($0, refused: "'\($0)' is not supported: use 'authorization'") }
        + [
            "oauth2", "proxy_url", "no_proxy", "proxy_from_environment", "proxy_connect_header", "follow_redirects", "enable_http2",
            "http_headers",
        ].map { .notSupported($0) }
    private static let tlsKeys =
        [KnownKey("ca_file")]
        + ["ca", "cert", "cert_file", "key", "key_file", "server_name", "insecure_skip_verify", "min_version", "max_version"].map {
            .notSupported($0)
        }

    func log(_ node: YAMLNode) -> ChannelConfiguration? {
        MappingReader(node, subject: "an entry of 'log_configs'", keys: [KnownKey("send_resolved")], in: reading)
            .map { .log(LogConfiguration(sendResolved: sendResolved($0))) }
    }

    func mqtt(_ node: YAMLNode) -> ChannelConfiguration? {
        guard let mapping = MappingReader(node, subject: "an entry of 'mqtt_configs'", keys: Self.mqttKeys, in: reading) else { return nil }
        let topic = mapping.required("topic").flatMap { node in reading.name(node, "topic") == nil ? nil : text(node, "topic") }
        if let topic,
            topic.parts.contains(where: { if case .literal(let text) = $0 { text.contains { "+#".contains($0) } } else { false } }),
            let node = mapping["topic"]
        {
            reading.report("topic-filter", "a topic to publish to cannot hold '+' or '#'", at: node.range)
        }
        let payload = mapping["payload"].flatMap { text($0, "payload") }
        let qos = mapping["qos"].flatMap { reading.integer($0, "qos", in: 0...2) } ?? 1
        let retain = mapping["retain"].flatMap { reading.bool($0, "retain") } ?? false
        let sendResolved = sendResolved(mapping)
        return topic.map {
            .mqtt(MQTTChannelConfiguration(topic: $0, payload: payload, qos: UInt8(qos), retain: retain, sendResolved: sendResolved))
        }
    }

    func webhook(_ node: YAMLNode) -> ChannelConfiguration? {
        guard let mapping = MappingReader(node, subject: "an entry of 'webhook_configs'", keys: Self.webhookKeys, in: reading) else {
            return nil
        }
        let url = secret(mapping, "url")
        if let node = mapping["url"], case .scalar(let text, _) = node.content, !node.isNull { checkURL(text, node) }
        var webhook = WebhookConfiguration(url: url ?? .text(""), sendResolved: sendResolved(mapping))
        if let node = mapping["http_config"] { webhook.http = http(node) }
        if let node = mapping["max_alerts"] { webhook.maxAlerts = reading.integer(node, "max_alerts", in: 0...Int.max) ?? 0 }
        // Alertmanager's 0 is "no time-out", with which one dead receiver would hold its queue for ever.
        if let node = mapping["timeout"], let timeout = reading.duration(node, "timeout", atLeast: .milliseconds(1)) {
            webhook.timeout = timeout
        }
        return url == nil ? nil : .webhook(webhook)
    }

    /// The address may hold a token: messages do not repeat it.
    private func checkURL(_ text: String, _ node: YAMLNode) {
        let lower = text.lowercased()
        let hasScheme = ["http://", "https://"].contains { lower.hasPrefix($0) && lower.utf8.count > $0.utf8.count }
        if text.contains("{{") {
            reading.report("template", "'url' takes no expressions", at: node.range)
        } else if !hasScheme || text.contains(where: { $0.isWhitespace }) {
            reading.report("wrong-type", "'url' must begin with http:// or https://, and hold no space", at: node.range)
        }
    }

    private func http(_ node: YAMLNode) -> HTTPConfiguration {
        var http = HTTPConfiguration()
        guard let mapping = MappingReader(node, subject: "'http_config'", keys: Self.httpKeys, in: reading) else { return http }
        if let basic = mapping.entry("basic_auth"), let other = mapping.entry("authorization") {
            reading.report(
                "conflicting-keys", "'http_config' has either 'basic_auth' or 'authorization'", at: other.keyRange,
                notes: ["'basic_auth' stands at \(reading.place(basic.keyRange))"])
        }
        if let node = mapping["basic_auth"] {
            let keys = ["username", "password", "password_file"].map { KnownKey($0) } + [.notSupported("username_file")]
            if let basic = MappingReader(node, subject: "'basic_auth'", keys: keys, in: reading),
                let username = basic.required("username").flatMap({ reading.text($0, "username") }),
                let password = secret(basic, "password")
            {
                http.authorization = .basic(username: username, password: password)
            }
        }
        if let node = mapping["authorization"] {
            let keys = ["type", "credentials", "credentials_file"].map { KnownKey($0) }
            if let authorization = MappingReader(node, subject: "'authorization'", keys: keys, in: reading),
                let credentials = secret(authorization, "credentials")
            {
                let scheme = authorization["type"].flatMap { reading.name($0, "type") } ?? "Bearer"
                http.authorization = .credentials(scheme: scheme, credentials)
            }
        }
        if let node = mapping["tls_config"], let tls = MappingReader(node, subject: "'tls_config'", keys: Self.tlsKeys, in: reading) {
            http.caFile = tls["ca_file"].flatMap { reading.name($0, "ca_file") }
        }
        return http
    }

    /// `key` or `key_file`, one of them.
    private func secret(_ mapping: MappingReader, _ key: String) -> Secret? {
        let file = "\(key)_file"
        switch (mapping.entry(key), mapping.entry(file)) {
        case (nil, nil):
            mapping.missing("\(mapping.subject) needs '\(key)' or '\(file)'")
            return nil
        case (.some(let text), nil): return reading.name(text.value, key).map { .text($0) }
        case (nil, .some(let path)): return reading.name(path.value, file).map { .file($0) }
        case (.some(let text), .some(let path)):
            reading.report(
                "conflicting-keys", "\(mapping.subject) has either '\(key)' or '\(file)'", at: path.keyRange,
                notes: ["'\(key)' stands at \(reading.place(text.keyRange))"])
            return nil
        }
    }

    private func sendResolved(_ mapping: MappingReader) -> Bool {
        mapping["send_resolved"].flatMap { reading.bool($0, "send_resolved") } ?? true
    }

    private func text(_ node: YAMLNode, _ key: String) -> NotificationText? { reading.notificationText(node, key) }
}
