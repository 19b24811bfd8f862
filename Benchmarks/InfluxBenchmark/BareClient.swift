import BenchmarkHarness
import CCurl
import Foundation

/// The InfluxDB of `scripts/services`.
struct InfluxServer {
    var url: String
    var username: String
    var password: String

    static func ofEnvironment() throws -> InfluxServer {
        func value(_ name: String) throws -> String {
            guard let value = ProcessInfo.processInfo.environment[name] else {
                throw BenchmarkFailure("\(name) is not set: scripts/services up influxdb")
            }
            return value
        }
        return try InfluxServer(
            url: value("NODESPHERE_INFLUXDB_URL"), username: value("NODESPHERE_INFLUXDB_USERNAME"),
            password: value("NODESPHERE_INFLUXDB_PASSWORD"))
    }
}

/// libcurl as it comes, with a connection that is kept: fetches an answer and throws it away. What is left is the server's own time and the way.
final class BareClient {
    private let server: InfluxServer
    private let easy: UnsafeMutableRawPointer
    private var bytes = 0

    init(_ server: InfluxServer) {
        self.server = server
        // Nil only without memory.
        easy = curl_easy_init()!
        _ = shim_curl_setopt_long(easy, CURLOPT_NOSIGNAL, 1)
        _ = shim_curl_setopt_long(easy, CURLOPT_TCP_NODELAY, 1)
        _ = shim_curl_setopt_str(easy, CURLOPT_USERPWD, "\(server.username):\(server.password)")
        _ = shim_curl_setopt_rw(easy, CURLOPT_WRITEFUNCTION) { _, size, count, client in
            // Set below to the client, which the transfer does not outlive.
            Unmanaged<BareClient>.fromOpaque(client!).takeUnretainedValue().bytes += size * count
            return size * count
        }
        _ = shim_curl_setopt_ptr(easy, CURLOPT_WRITEDATA, Unmanaged.passUnretained(self).toOpaque())
    }

    deinit { curl_easy_cleanup(easy) }

    /// Milliseconds until the last byte of the answer.
    func time(_ query: String, database: String) throws -> Double {
        let begin = monotonicSeconds()
        try ask(query, database: database)
        return (monotonicSeconds() - begin) * 1000
    }

    func ask(_ query: String, database: String) throws {
        let escaped = query.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
        try post("/query", "db=\(database)&epoch=ns&chunked=true&q=\(escaped)", expecting: 200)
    }

    func write(_ lines: String, database: String) throws { try post("/write?db=\(database)&precision=ns", lines, expecting: 204) }

    private func post(_ path: String, _ body: String, expecting status: Int) throws {
        bytes = 0
        _ = shim_curl_setopt_str(easy, CURLOPT_URL, server.url + path)
        let content = Array(body.utf8)
        _ = shim_curl_setopt_off(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(content.count))
        // libcurl does not copy the body: it stays where it is during the transfer.
        let code = content.withUnsafeBytes { body in
            _ = shim_curl_setopt_ptr(easy, CURLOPT_POSTFIELDS, UnsafeMutableRawPointer(mutating: body.baseAddress))
            return curl_easy_perform(easy)
        }
        guard code == CURLE_OK else { throw BenchmarkFailure("InfluxDB: \(String(cString: curl_easy_strerror(code)))") }
        var answered = 0
        _ = shim_curl_getinfo_long(easy, CURLINFO_RESPONSE_CODE, &answered)
        guard answered == status, status == 204 || bytes > 0 else { throw BenchmarkFailure("InfluxDB answered \(answered) to \(path)") }
    }
}
