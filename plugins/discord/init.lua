-- https://discord.com/developers/docs/resources/webhook#execute-webhook, limits of embeds: …/resources/message#embed-object-embed-limits

local max_title, max_description, max_alerts = 256, 4096, 20

local colours = { critical = 0xd50200, error = 0xd50200, warning = 0xde9e31, info = 0x439fe0 }

local function colour(notification)
  if notification.status ~= "firing" then return 0x2eb67d end
  return colours[text.severity(notification)] or 0xd50200
end

-- Markdown characters of a payload's text are shown as they are.
local function plain(value) return (string.gsub(value, "[\\*_~`|>#%[%]]", "\\%0")) end

local function line(alert)
  return (alert.status == "firing" and "🔴 " or "🟢 ") .. plain(text.summary(alert))
end

local function link(notification)
  local runbook = (notification.commonAnnotations or {}).runbook_url
  if runbook and string.find(runbook, "^https?://") then return runbook end
end

-- After 429 the body says for how many seconds to wait, more exactly than the header.
local function outcome(response, problem)
  local result, reason, after = channel.outcome(response, problem)
  if response and response.status == 429 then
    local answer = json.decode(response.body)
    if type(answer) == "table" then after = tonumber(answer.retry_after) or after end
  end
  return result, reason, after
end

plugin {
  channels = {
    discord = function(notification, config)
      return outcome(http.post(config.webhook_url, {
        headers = { ["Content-Type"] = "application/json" },
        body = json.encode({
          username = config.username,
          avatar_url = config.avatar_url,
          embeds = {
            {
              title = text.truncate(config.title or text.title(notification), max_title),
              description = text.truncate(config.message or text.lines(notification, max_alerts, line), max_description),
              color = colour(notification),
              url = link(notification),
              timestamp = notification.alerts[1] and notification.alerts[1].startsAt,
            },
          },
          -- What a device writes must not ring everybody: "@everyone" stays text.
          allowed_mentions = { parse = json.decode("[]") },
        }),
      }))
    end,
  },
}
