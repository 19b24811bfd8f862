/// What `notifications.yaml` says: where alerts go and how they are grouped. The vocabulary is Alertmanager's.
///
/// A reader gives it as it was written, with what is missing left nil; `RouteTree` checks it, applies inheritance and freezes it.
public struct NotificationConfiguration: Sendable, Equatable {
    /// The root: has a receiver and no matchers.
    public var route: Route
    public var receivers: [Receiver]

    public init(route: Route, receivers: [Receiver]) {
        self.route = route
        self.receivers = receivers
    }

    /// What holds without a file: everything goes to the log, each alert for itself and at once.
    public static let logOnly = NotificationConfiguration(
        route: Route(receiver: "log", groupBy: .all, groupWait: .zero, groupInterval: .seconds(1), repeatInterval: .seconds(86_400)),
        receivers: [Receiver(name: "log", channels: [.log(LogConfiguration())])])
}

/// A node of the route tree. What is nil is inherited from the parent.
public struct Route: Sendable, Equatable {
    /// All of them must match.
    public var matchers: [Matcher]
    public var receiver: String?
    public var groupBy: GroupBy?
    /// Between an alert that begins a group and the group's first notification.
    public var groupWait: Duration?
    /// Between a notification and the next one about something that changed.
    public var groupInterval: Duration?
    /// Between a notification and the same one again when nothing changed; exact, not rounded to `groupInterval`.
    public var repeatInterval: Duration?
    /// `continue: true`: the siblings behind this route are asked too.
    public var continues: Bool
    public var routes: [Route]

    public init(
        matchers: [Matcher] = [], receiver: String? = nil, groupBy: GroupBy? = nil, groupWait: Duration? = nil,
        groupInterval: Duration? = nil, repeatInterval: Duration? = nil, continues: Bool = false, routes: [Route] = []
    ) {
        self.matchers = matchers
        self.receiver = receiver
        self.groupBy = groupBy
        self.groupWait = groupWait
        self.groupInterval = groupInterval
        self.repeatInterval = repeatInterval
        self.continues = continues
        self.routes = routes
    }
}

public enum GroupBy: Sendable, Equatable {
    /// Empty: one group for all.
    case labels([String])
    /// `['...']`: all labels, but `severity` of a rule with levels, which changes while the alert goes on.
    case all
}

/// Alertmanager's defaults, for the root route.
extension Duration {
    public static let defaultGroupWait = Duration.seconds(30)
    public static let defaultGroupInterval = Duration.seconds(300)
    public static let defaultRepeatInterval = Duration.seconds(4 * 3600)
}

public struct Receiver: Sendable, Equatable {
    /// Unique.
    public var name: String
    /// Each is notified for itself, with retries of its own. None: what is routed here is told to nobody.
    public var channels: [ChannelConfiguration]

    public init(name: String, channels: [ChannelConfiguration]) {
        self.name = name
        self.channels = channels
    }
}

/// One entry of `webhook_configs`, `log_configs`, `mqtt_configs` of a receiver.
public enum ChannelConfiguration: Sendable, Equatable {
    case webhook(WebhookConfiguration)
    case log(LogConfiguration)
    case mqtt(MQTTChannelConfiguration)
    case plugin(PluginChannelConfiguration)

    /// `webhook`, `log`, `mqtt`, or the name of a plugin's channel.
    public var kind: String {
        switch self {
        case .webhook: "webhook"
        case .log: "log"
        case .mqtt: "mqtt"
        case .plugin(let plugin): plugin.channel
        }
    }

    /// Whether the end of an alert is told too.
    public var sendsResolved: Bool {
        switch self {
        case .webhook(let webhook): webhook.sendResolved
        case .log(let log): log.sendResolved
        case .mqtt(let mqtt): mqtt.sendResolved
        case .plugin(let plugin): plugin.sendResolved
        }
    }
}

/// `webhook_configs`: the Alertmanager document, by POST.
public struct WebhookConfiguration: Sendable, Equatable {
    /// `url` or `url_file`; may hold a token, so it is a secret.
    public var url: Secret
    public var sendResolved: Bool
    public var http: HTTPConfiguration
    /// `max_alerts`: more than so many are cut off and counted in `truncatedAlerts`; 0 for no limit.
    public var maxAlerts: Int
    /// Of one attempt.
    public var timeout: Duration

    public init(
        url: Secret, sendResolved: Bool = true, http: HTTPConfiguration = HTTPConfiguration(), maxAlerts: Int = 0,
        timeout: Duration = .seconds(10)
    ) {
        self.url = url
        self.sendResolved = sendResolved
        self.http = http
        self.maxAlerts = maxAlerts
        self.timeout = timeout
    }
}

/// The part of Alertmanager's `http_config` that there is.
public struct HTTPConfiguration: Sendable, Equatable {
    public enum Authorization: Sendable, Equatable {
        /// `basic_auth: {username, password | password_file}`
        case basic(username: String, password: Secret)
        /// `authorization: {type: Bearer, credentials | credentials_file}`
        case credentials(scheme: String, Secret)
    }
    public var authorization: Authorization?
    /// `tls_config.ca_file`: the certificates to trust instead of the system's.
    public var caFile: String?

    public init(authorization: Authorization? = nil, caFile: String? = nil) {
        self.authorization = authorization
        self.caFile = caFile
    }
}

/// `log_configs`: a line an alert in the server's log.
public struct LogConfiguration: Sendable, Equatable {
    public var sendResolved: Bool
    public init(sendResolved: Bool = true) { self.sendResolved = sendResolved }
}

/// `mqtt_configs`: a message to a topic.
public struct MQTTChannelConfiguration: Sendable, Equatable {
    public var topic: NotificationText
    /// Nil: the Alertmanager document.
    public var payload: NotificationText?
    public var qos: UInt8
    public var retain: Bool
    public var sendResolved: Bool

    public init(
        topic: NotificationText, payload: NotificationText? = nil, qos: UInt8 = 1, retain: Bool = false, sendResolved: Bool = true
    ) {
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.sendResolved = sendResolved
    }
}

/// One entry of `<plugin>_configs`.
public struct PluginChannelConfiguration: Sendable, Equatable {
    /// The channel's name, and the plugin that provides it.
    public var channel: String
    public var plugin: String
    /// What the receiver says, over the plugin's settings, over its defaults.
    public var values: PluginValues
    public var sendResolved: Bool
    /// Of one attempt.
    public var timeout: Duration

    public init(channel: String, plugin: String, values: PluginValues, sendResolved: Bool = true, timeout: Duration = .seconds(10)) {
        self.channel = channel
        self.plugin = plugin
        self.values = values
        self.sendResolved = sendResolved
        self.timeout = timeout
    }
}
