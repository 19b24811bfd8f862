/// A plugin's actions in a test: with a state of their own, and the outside played.
///
/// Contract: as `PluginAction`, but each call returns when it is over; nothing depends on how fast the machine is.
public protocol PluginRehearsal: AnyObject {
    /// - Parameter name: of the action, without the plugin's.
    func run(_ name: String, alert: Document, arguments: Document, outside: any PlayedOutside) -> PluginActionResult
}

/// What an action in a test reaches.
public protocol PlayedOutside: AnyObject {
    func send(_ call: HTTPCall) -> HTTPReply
    func publish(topic: String, payload: [UInt8], qos: UInt8, retain: Bool)
}

/// How often an action of a plugin that says `retry` is run.
public enum PluginActionAttempts {
    public static let most = 5

    /// Between one attempt, counted from 1, and the next.
    public static func wait(after attempt: Int) -> Duration { .seconds(1 << (min(max(attempt, 1), most) - 1)) }
}
