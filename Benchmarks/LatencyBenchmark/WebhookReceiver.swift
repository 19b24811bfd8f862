import BenchmarkHarness
import Foundation
import Glibc
import Synchronization

/// An HTTP server that answers every request at once with 200 and notes when the notification of which message came: one thread, keep-alive.
final class WebhookReceiver: Sendable {
    let port: UInt16
    private let shared: Shared

    private final class Shared: Sendable {
        let arrivals = Mutex<[Int: Double]>([:])
        let isStopped = Atomic(false)
    }

    init() throws {
        let (descriptor, port) = try listenOnLoopback()
        self.port = port
        shared = Shared()
        let thread = Thread { [shared] in
            var loop = Loop(listener: descriptor)
            while !shared.isStopped.load(ordering: .relaxed) {
                let found = loop.turn()
                guard !found.isEmpty else { continue }
                // The first arrival counts, should one come again.
                shared.arrivals.withLock { arrivals in for (number, at) in found where arrivals[number] == nil { arrivals[number] = at } }
            }
            loop.end()
        }
        thread.name = "webhook-receiver"
        thread.start()
    }

    /// By the number of the message: when its notification's last byte was read.
    var arrivals: [Int: Double] { shared.arrivals.withLock { $0 } }

    /// The thread ends within a tenth of a second.
    func stop() { shared.isStopped.store(true, ordering: .relaxed) }
}

private struct Loop {
    private let listener: Int32
    private var buffers: [Int32: [UInt8]] = [:]
    /// The listener and the connections.
    private var polled: [pollfd]
    private var chunk = [UInt8](repeating: 0, count: 65_536)

    private static let answer = Array("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".utf8)

    init(listener: Int32) {
        self.listener = listener
        polled = [pollfd(fd: listener, events: Int16(POLLIN), revents: 0)]
    }

    func end() {
        for descriptor in buffers.keys { close(descriptor) }
        close(listener)
    }

    /// Waits at most a tenth of a second; the messages whose notifications came.
    mutating func turn() -> [(number: Int, at: Double)] {
        guard poll(&polled, nfds_t(polled.count), 100) > 0 else { return [] }
        var found: [(number: Int, at: Double)] = []
        for index in polled.indices.dropFirst() where polled[index].revents != 0 { read(polled[index].fd, &found) }
        polled.removeAll { $0.fd != listener && buffers[$0.fd] == nil }
        if polled[0].revents != 0 {
            let new = accept(listener, nil, nil)
            if new >= 0 {
                buffers[new] = []
                polled.append(pollfd(fd: new, events: Int16(POLLIN), revents: 0))
            }
        }
        return found
    }

    private mutating func read(_ descriptor: Int32, _ found: inout [(number: Int, at: Double)]) {
        let count = Glibc.read(descriptor, &chunk, chunk.count)
        let now = monotonicSeconds()
        guard count > 0, var buffer = buffers.removeValue(forKey: descriptor) else {
            buffers[descriptor] = nil
            close(descriptor)
            return
        }
        buffer += chunk[..<count]
        while let request = firstRequest(in: buffer) {
            _ = try? Self.answer.withUnsafeBytes { try writeAll(descriptor, $0) }
            for number in sequenceNumbers(in: buffer[request]) { found.append((number, now)) }
            buffer.removeSubrange(..<request.upperBound)
        }
        buffers[descriptor] = buffer
    }

    /// The body of the first request that is whole.
    private func firstRequest(in buffer: [UInt8]) -> Range<Int>? {
        guard let end = buffer.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
        let head = String(decoding: buffer[..<end.lowerBound], as: UTF8.self).lowercased()
        var length = 0
        for line in head.split(separator: "\r\n") where line.hasPrefix("content-length:") {
            length = Int(line.dropFirst(15).trimmingCharacters(in: .whitespaces)) ?? 0
        }
        let body = end.upperBound..<end.upperBound + max(0, length)
        return body.upperBound <= buffer.count ? body : nil
    }

    /// Of the annotation that carries it.
    private func sequenceNumbers(in body: ArraySlice<UInt8>) -> [Int] {
        let mark = Array(#""sequence":""#.utf8)
        var numbers: [Int] = []
        var rest = body
        while let found = rest.firstRange(of: mark) {
            let digits = rest[found.upperBound...].prefix { (48...57).contains($0) }
            if let number = Int(String(decoding: digits, as: UTF8.self)) { numbers.append(number) }
            rest = rest[found.upperBound...]
        }
        return numbers
    }
}
