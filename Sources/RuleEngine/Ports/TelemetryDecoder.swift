/// What a decoder made of a message.
public enum DecodedMessage: Sendable, Equatable {
    /// The fields are written; the time is the one that the message itself says, if any.
    case reading(time: Instant?)
    /// The message is no reading (a command, a question) and is passed over without being counted as undecodable.
    case nothing
}

/// Why a decoder cannot read a message.
public struct TelemetryDecoderFailure: Error, Sendable, Equatable {
    public var reason: String
    public init(_ reason: String) { self.reason = reason }
}

/// Turns the payloads of an ecosystem into fields: what `decoder: zigbee2mqtt` names.
///
/// Contract: one call a message, in the order in which they came; calls do not overlap. A decoder may remember what earlier messages taught it
/// (names that later ones abbreviate) until `forget`. It ends within its own limits whatever the payload, and never blocks.
public protocol TelemetryDecoder: AnyObject, Sendable {
    /// Writes a JSON object with the fields into `fields`, which is empty.
    func decode(topic: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, into fields: JSONBuffer) throws(TelemetryDecoderFailure)
        -> DecodedMessage
    /// Forgets what earlier messages taught it.
    func forget()
    /// What it keeps across a stop; anything else that it remembers begins anew with the server.
    var memory: DecoderMemory { get }
    func restore(_ memory: DecoderMemory)
}

extension TelemetryDecoder {
    public var memory: DecoderMemory { DecoderMemory() }
    public func restore(_ memory: DecoderMemory) {}
}
