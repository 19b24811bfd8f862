-- https://core.telegram.org/bots/api#sendmessage

-- "1-4096 characters after entities parsing".
local max_characters, max_alerts = 4096, 20

local function line(alert)
  return (alert.status == "firing" and "🔴 " or "🟢 ") .. text.escape_html(text.summary(alert))
end

-- Cut before it is marked up, so that no tag is cut in two: https://core.telegram.org/bots/api#html-style
local function marked_up(notification)
  local title = text.truncate(text.title(notification), 200)
  local body = text.lines(notification, max_alerts, line)
  if utf8.len(body) > max_characters - 210 then
    body = text.escape_html(text.truncate(text.lines(notification, max_alerts), max_characters // 2 - 210))
  end
  return "<b>" .. text.escape_html(title) .. "</b>\n" .. body
end

-- A refusal says in `description` why, and after 429 in `parameters` for how many seconds to wait.
local function outcome(response, problem)
  local result, reason, after = channel.outcome(response, problem)
  if result == "ok" or not response then return result, reason, after end
  local answer = json.decode(response.body)
  if type(answer) == "table" then
    if type(answer.description) == "string" then
      reason = "Telegram answered " .. response.status .. ": " .. text.truncate(answer.description, 200)
    end
    if type(answer.parameters) == "table" then after = tonumber(answer.parameters.retry_after) or after end
  end
  return result, reason, after
end

plugin {
  channels = {
    telegram = function(notification, config)
      return outcome(http.post(config.api_url .. "/bot" .. config.bot_token .. "/sendMessage", {
        headers = { ["Content-Type"] = "application/json" },
        body = json.encode({
          chat_id = config.chat_id,
          message_thread_id = config.message_thread_id,
          disable_notification = config.disable_notifications,
          parse_mode = not config.message and "HTML" or nil,
          text = config.message and text.truncate(config.message, max_characters) or marked_up(notification),
          link_preview_options = { is_disabled = true },
        }),
      }))
    end,
  },
}
