/// A plugin's decoder at work: it is run once a message, however many sources read different fields of it.
final class NamedDecoding {
    let name: String
    private let decoder: any TelemetryDecoder
    private let buffer = JSONBuffer()
    /// The message that `outcome` is of; 0: none yet.
    private var message: UInt64 = 0
    private var outcome: Result<DecodedMessage, TelemetryDecoderFailure> = .success(.nothing)

    init(name: String, decoder: any TelemetryDecoder) {
        self.name = name
        self.decoder = decoder
    }

    /// The fields as JSON; good until the next message.
    var content: UnsafeRawBufferPointer { buffer.bytes }

    /// Whether this was the message's first time.
    func decode(topic: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, message: UInt64) -> (
        Result<DecodedMessage, TelemetryDecoderFailure>, isFirst: Bool
    ) {
        guard message == 0 || message != self.message else { return (outcome, false) }
        self.message = message
        buffer.removeAll()
        do {
            outcome = .success(try decoder.decode(topic: topic, payload: payload, into: buffer))
        } catch {
            outcome = .failure(error)
        }
        return (outcome, true)
    }
}
