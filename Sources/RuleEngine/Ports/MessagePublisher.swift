public enum PublishFailure: Error, Sendable, CustomStringConvertible {
    case unavailable(String)
    case refused(String)
    public var description: String {
        switch self {
        case .unavailable(let reason), .refused(let reason): reason
        }
    }
}

/// Publishes MQTT messages: actions of rules, the channel `mqtt`.
///
/// Contract: returns when the message was handed on as its QoS asks (0: written; 1 and 2: acknowledged by the broker); `unavailable` when that did not happen
/// within 10 s or the connection was lost meanwhile: it may or may not have arrived. Messages of one caller that awaits each call arrive in order.
/// `properties` become MQTT 5 user properties and are left out with 3.1.1.
public protocol MessagePublisher: Sendable {
    func publish(topic: String, payload: [UInt8], qos: UInt8, retain: Bool, properties: [(String, String)]) async throws(PublishFailure)
}
