import Foundation
import Glibc
import Synchronization
import TestSupport

struct WireFailure: Error, CustomStringConvertible {
    var description: String
}

/// One packet: its first byte and what follows the length.
struct WirePacket: Sendable, Equatable {
    var first: UInt8
    var body: [UInt8]

    enum Kind: UInt8 {
        case connect = 1
        case connack, publish, puback, pubrec, pubrel, pubcomp, subscribe, suback, unsubscribe, unsuback, pingreq, pingresp, disconnect
    }
    var kind: Kind? { Kind(rawValue: first >> 4) }
    /// Of the kinds that begin with one.
    var packetID: UInt16 { body.count > 1 ? UInt16(body[0]) << 8 | UInt16(body[1]) : 0 }

    init(first: UInt8, body: [UInt8]) {
        self.first = first
        self.body = body
    }

    init(_ kind: Kind, flags: UInt8 = 0, _ body: [UInt8]) { self.init(first: kind.rawValue << 4 | flags, body: body) }

    static func string(_ text: String) -> [UInt8] {
        let bytes = Array(text.utf8)
        return [UInt8(bytes.count >> 8), UInt8(bytes.count & 255)] + bytes
    }

    static func word(_ number: UInt16) -> [UInt8] { [UInt8(number >> 8), UInt8(number & 255)] }

    /// Of MQTT 3.1.1, as a broker sends it.
    static func publish(_ topic: String, _ payload: String, qos: UInt8, packetID: UInt16, duplicate: Bool = false) -> WirePacket {
        WirePacket(
            .publish, flags: (duplicate ? 8 : 0) | qos << 1, string(topic) + (qos > 0 ? word(packetID) : []) + Array(payload.utf8))
    }

    var bytes: [UInt8] {
        var length: [UInt8] = []
        var left = body.count
        repeat {
            length.append(UInt8(left % 128) | (left >= 128 ? 128 : 0))
            left /= 128
        } while left > 0
        return [first] + length + body
    }
}

/// A TCP connection that speaks single packets, for tests that look at the wire. Calls block, for at most `patience`.
final class WireConnection: Sendable {
    private let socket: BlockingSocket
    private var descriptor: Int32 { socket.descriptor }

    init(_ socket: BlockingSocket) {
        self.socket = socket
        socket.limitReceiving(to: patience)
    }

    convenience init(port: UInt16) throws {
        guard let socket = BlockingSocket(connectingTo: port) else { throw WireFailure(description: "nobody listens at port \(port)") }
        self.init(socket)
    }

    func send(_ packet: WirePacket) throws {
        let bytes = packet.bytes
        guard Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            throw WireFailure(description: "send: \(String(cString: strerror(errno)))")
        }
    }

    func receive() throws -> WirePacket {
        let first = try bytes(1)[0]
        var length = 0
        var shift = 0
        while true {
            let byte = try bytes(1)[0]
            length |= Int(byte & 127) << shift
            shift += 7
            if byte < 128 || shift > 21 { break }
        }
        return WirePacket(first: first, body: try bytes(length))
    }

    /// Skips keep-alive and the like.
    func receive(_ kind: WirePacket.Kind) throws -> WirePacket {
        while true {
            let packet = try receive()
            if packet.kind == kind { return packet }
            guard packet.kind == .pingreq else {
                throw WireFailure(description: "expected \(kind), got \(packet)")
            }
            try send(WirePacket(.pingresp, []))
        }
    }

    /// Whether nothing is there to read.
    var isSilent: Bool {
        var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&polled, 1, 200) == 0
    }

    /// Whether the other side has closed; reads away what comes before.
    func waitForEnd() -> Bool {
        while true {
            do { _ = try receive() } catch let failure as WireFailure { return failure.description == "end" } catch { return false }
        }
    }

    /// Ends without a word: RST.
    func abort() {
        var lingering = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &lingering, socklen_t(MemoryLayout<linger>.size))
        socket.shutDown()
    }

    private func bytes(_ count: Int) throws -> [UInt8] {
        var got = [UInt8](repeating: 0, count: count)
        var at = 0
        while at < count {
            let read = got.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress.map { $0 + at }, count - at, 0) }
            guard read != 0 else { throw WireFailure(description: "end") }
            guard read > 0 else { throw WireFailure(description: "receive: \(String(cString: strerror(errno)))") }
            at += read
        }
        return got
    }
}

/// Plays a broker by a script: each test says what is sent when.
final class ScriptedBroker: Sendable {
    private let listener = LoopbackListener()
    var port: UInt16 { listener.port }

    /// The next client that gets as far as CONNECT; who only knocks is let go.
    func accept() throws -> WireConnection {
        while true {
            guard let socket = listener.accept(withinMilliseconds: Int32(patience.components.seconds) * 1000) else {
                throw WireFailure(description: "no client came")
            }
            let connection = WireConnection(socket)
            if (try? connection.receive(.connect)) != nil { return connection }
        }
    }

    /// Accepts a 3.1.1 client and answers its CONNECT.
    func accept(sessionPresent: Bool) throws -> WireConnection {
        let connection = try accept()
        try connection.send(WirePacket(.connack, [sessionPresent ? 1 : 0, 0]))
        return connection
    }
}

/// Runs blocking test code on a thread of its own.
func onThread<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread {
            do { continuation.resume(returning: try body()) } catch { continuation.resume(throwing: error) }
        }
    }
}

/// A port of the loopback that is free, and that nobody else is given before the server of a test listens there or while it restarts: below the ports
/// of `scripts/services` and below the range from which Linux gives ports to outgoing connections (32768 and up), and each once a run.
func freePort() throws -> UInt16 {
    let range: Range<UInt16> = 12_000..<20_000
    for _ in range {
        let port = nextPort.withLock { next in
            next = range.contains(next + 1) ? next + 1 : range.lowerBound
            return next
        }
        let probe = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(probe) }
        var address = BlockingSocket.address(port)
        let isFree = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(probe, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 }
        }
        if isFree { return port }
    }
    throw WireFailure(description: "no port between \(range.lowerBound) and \(range.upperBound) is free")
}

/// Two runs at the same time begin at different places.
private let nextPort = Mutex<UInt16>(.random(in: 12_000..<20_000))
